// A cheap upstream that speaks the chat dialect: every answer is prepared before the first request.
//
// It answers 404 to any model but its own, so a gateway that forgot to rewrite the model is found out.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"
)

// Word is in every chunk once; the load generator counts it.
const word = "lighthouse"

// About 200 bytes an event and 700 bytes a whole answer, as a real upstream sends them.
const (
	head = `{"id":"chatcmpl-5f0c2c1d9a7e4b36","object":"%s","created":1767225600,` +
		`"model":"%s","choices":[%s]%s}`
	usage = `,"usage":{"prompt_tokens":112,"completion_tokens":64,"total_tokens":176,` +
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}`
)

type answers struct {
	model  string
	whole  []byte
	chunks [][]byte
	tail   []byte
	gap    time.Duration
}

func prepare(model string, count int, gap time.Duration) *answers {
	text := word + strings.Repeat(" and the keeper of it", 14)
	choice := `{"index":0,"message":{"role":"assistant","content":"` + text +
		`"},"logprobs":null,"finish_reason":"stop"}`
	prepared := &answers{model: model, gap: gap}
	prepared.whole = []byte(fmt.Sprintf(head, "chat.completion", model, choice, usage))
	event := func(choices, more string) []byte {
		return []byte("data: " + fmt.Sprintf(head, "chat.completion.chunk", model, choices, more) + "\n\n")
	}
	delta := func(fields, finish string) string {
		return `{"index":0,"delta":{` + fields + `},"logprobs":null,"finish_reason":` + finish + `}`
	}
	for number := range count {
		fields := `"content":" ` + word + `"`
		if number == 0 {
			fields = `"role":"assistant","content":"` + word + `"`
		}
		prepared.chunks = append(prepared.chunks, event(delta(fields, "null"), ""))
	}
	prepared.tail = append(prepared.tail, event(delta("", `"stop"`), "")...)
	prepared.tail = append(prepared.tail, event("", usage)...)
	prepared.tail = append(prepared.tail, "data: [DONE]\n\n"...)
	return prepared
}

func (prepared *answers) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	var asked struct {
		Model  string `json:"model"`
		Stream bool   `json:"stream"`
	}
	body, err := io.ReadAll(request.Body)
	if err == nil {
		err = json.Unmarshal(body, &asked)
	}
	if err != nil {
		http.Error(writer, `{"error":{"message":"not JSON","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	if asked.Model != prepared.model {
		http.Error(writer, `{"error":{"message":"no such model","code":"model_not_found"}}`, http.StatusNotFound)
		return
	}
	if !asked.Stream {
		writer.Header().Set("Content-Type", "application/json")
		writer.Header().Set("Content-Length", fmt.Sprint(len(prepared.whole)))
		_, _ = writer.Write(prepared.whole)
		return
	}
	prepared.stream(writer, request)
}

func (prepared *answers) stream(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Type", "text/event-stream")
	flusher := writer.(http.Flusher)
	began := time.Now()
	for number, chunk := range prepared.chunks {
		// Due times are absolute, so a late chunk does not shift all that follow.
		time.Sleep(time.Until(began.Add(time.Duration(number) * prepared.gap)))
		if _, err := writer.Write(chunk); err != nil || request.Context().Err() != nil {
			return
		}
		flusher.Flush()
	}
	_, _ = writer.Write(prepared.tail)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address")
	model := flag.String("model", "bench-model", "the one model served")
	count := flag.Int("chunks", 64, "chunks of content in a stream")
	gap := flag.Int("gap", 20, "milliseconds between two chunks")
	flag.Parse()
	mux := http.NewServeMux()
	mux.Handle("/v1/chat/completions", prepare(*model, *count, time.Duration(*gap)*time.Millisecond))
	log.Fatal(http.ListenAndServe(*listen, mux))
}

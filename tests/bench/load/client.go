package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const answerTimeout = 30 * time.Second

// Expectation says what makes an answer right. An empty string or a zero is not checked.
type Expectation struct {
	Stream bool `json:"stream"`
	// Word must occur Words times, counted in events that hold Marker (all, if empty).
	Word   string `json:"word"`
	Words  int    `json:"words"`
	Marker string `json:"marker"`
	// Events is the exact number of `data:` lines, and End is in the last of them.
	Events int    `json:"events"`
	End    string `json:"end"`
	// Each of Has occurs somewhere in the answer, Never nowhere.
	Has   []string `json:"has"`
	Never string   `json:"never"`
}

type answer struct {
	latency   time.Duration
	firstWord time.Duration
	events    int
}

// A client is one keep-alive connection. It writes prepared bytes: the generator shares its cores
// with what it measures, so it has to be cheap.
type client struct {
	address  string
	request  []byte
	expect   Expectation
	conn     net.Conn
	reader   *bufio.Reader
	body     bytes.Buffer
	answers  []answer
	failures []string
}

func newClient(job *Job, target *url.URL) *client {
	var head strings.Builder
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\n", target.RequestURI(), target.Host)
	fmt.Fprintf(&head, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(job.Body))
	for name, value := range job.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	head.WriteString("\r\n" + job.Body)
	return &client{address: target.Host, request: []byte(head.String()), expect: job.Expect}
}

func (client *client) repeat(deadline time.Time) {
	for time.Now().Before(deadline) && len(client.failures) < maxErrors {
		began := time.Now()
		answer, err := client.exchange(began)
		if err != nil {
			client.failures = append(client.failures, err.Error())
			client.close()
			continue
		}
		answer.latency = time.Since(began)
		client.answers = append(client.answers, answer)
	}
	client.close()
}

func (client *client) close() {
	if client.conn != nil {
		_ = client.conn.Close()
		client.conn = nil
	}
}

func (client *client) exchange(began time.Time) (answer, error) {
	if client.conn == nil {
		conn, err := net.Dial("tcp", client.address)
		if err != nil {
			return answer{}, err
		}
		client.conn, client.reader = conn, bufio.NewReaderSize(conn, 16*1024)
	}
	_ = client.conn.SetDeadline(began.Add(answerTimeout))
	if _, err := client.conn.Write(client.request); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(client.reader, nil)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return answer{}, fmt.Errorf("status %d: %s", response.StatusCode, text)
	}
	if client.expect.Stream {
		return client.readStream(response.Body, began)
	}
	return client.readWhole(response.Body)
}

func (client *client) readWhole(body io.Reader) (answer, error) {
	client.body.Reset()
	if _, err := client.body.ReadFrom(body); err != nil {
		return answer{}, err
	}
	whole := client.body.Bytes()
	words := bytes.Count(whole, []byte(client.expect.Word))
	missing := withoutFound(client.expect.Has, whole)
	return answer{}, client.expect.judge(whole, words, 0, missing)
}

func (client *client) readStream(body io.Reader, began time.Time) (answer, error) {
	expect := &client.expect
	word, marker := []byte(expect.Word), []byte(expect.Marker)
	var result answer
	var last []byte
	words, missing := 0, expect.Has
	lines := bufio.NewReaderSize(body, 16*1024)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return answer{}, err
		}
		if !bytes.HasPrefix(line, []byte("data:")) {
			continue
		}
		result.events++
		if bytes.Contains(line, marker) {
			words += bytes.Count(line, word)
		}
		if words > 0 && result.firstWord == 0 {
			result.firstWord = time.Since(began)
		}
		missing = withoutFound(missing, line)
		if expect.Never != "" && bytes.Contains(line, []byte(expect.Never)) {
			return answer{}, fmt.Errorf("an event holds %q: %.200s", expect.Never, line)
		}
		last = append(last[:0], line...)
	}
	return result, expect.judge(bytes.TrimSpace(last), words, result.events, missing)
}

// The strings that do not occur in the text.
func withoutFound(strings []string, text []byte) []string {
	var missing []string
	for _, one := range strings {
		if !bytes.Contains(text, []byte(one)) {
			missing = append(missing, one)
		}
	}
	return missing
}

func (expect *Expectation) judge(last []byte, words, events int, missing []string) error {
	switch {
	case words != expect.Words:
		return fmt.Errorf("%d words of content where %d were sent: %.300s", words, expect.Words, last)
	case expect.Events > 0 && events != expect.Events:
		return fmt.Errorf("%d events where %d were sent", events, expect.Events)
	case !bytes.Contains(last, []byte(expect.End)):
		return fmt.Errorf("the answer does not end with %q: %.200s", expect.End, last)
	case len(missing) > 0:
		return fmt.Errorf("the answer does not hold %q: %.300s", missing[0], last)
	case expect.Never != "" && bytes.Contains(last, []byte(expect.Never)):
		return fmt.Errorf("the answer holds %q: %.300s", expect.Never, last)
	}
	return nil
}

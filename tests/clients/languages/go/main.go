// Asks a gateway with the released Go SDKs of both families, and prints what came as JSON.
//
//	main chat|stream|messages|messages-stream   the prompt on standard input
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

const model = "kimi-k2.5"

type call struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type heard struct {
	Text  string `json:"text"`
	Calls []call `json:"calls"`
}

func main() {
	prompt, err := io.ReadAll(os.Stdin)
	check(err)
	var answer heard
	switch os.Args[1] {
	case "chat":
		answer = chat(string(prompt))
	case "stream":
		answer = stream(string(prompt))
	case "messages":
		answer = messages(string(prompt))
	case "messages-stream":
		answer = messagesStream(string(prompt))
	}
	check(json.NewEncoder(os.Stdout).Encode(answer))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func openaiClient() openai.Client {
	return openai.NewClient(option.WithBaseURL(os.Getenv("FAREGATE_URL")+"/api/openai/v1/"),
		option.WithAPIKey(os.Getenv("FAREGATE_KEY")))
}

func chatParams(prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(
			shared.FunctionDefinitionParam{Name: "look", Parameters: shared.FunctionParameters{
				"type":       "object",
				"properties": map[string]any{"city": map[string]any{"type": "string"}},
			}})},
	}
}

func readCompletion(completion openai.ChatCompletion) heard {
	message := completion.Choices[0].Message
	answer := heard{Text: message.Content}
	for _, made := range message.ToolCalls {
		answer.Calls = append(answer.Calls, call{made.Function.Name, made.Function.Arguments})
	}
	return answer
}

func chat(prompt string) heard {
	client := openaiClient()
	completion, err := client.Chat.Completions.New(context.Background(), chatParams(prompt))
	check(err)
	return readCompletion(*completion)
}

func stream(prompt string) heard {
	client := openaiClient()
	chunks := client.Chat.Completions.NewStreaming(context.Background(), chatParams(prompt))
	together := openai.ChatCompletionAccumulator{}
	for chunks.Next() {
		if !together.AddChunk(chunks.Current()) {
			check(fmt.Errorf("a chunk does not belong to the answer"))
		}
	}
	check(chunks.Err())
	return readCompletion(together.ChatCompletion)
}

func anthropicClient() anthropic.Client {
	return anthropic.NewClient(anthropicoption.WithBaseURL(os.Getenv("FAREGATE_URL")+"/api/anthropic/"),
		anthropicoption.WithAPIKey(os.Getenv("FAREGATE_KEY")))
}

func messageParams(prompt string) anthropic.MessageNewParams {
	schema := anthropic.ToolInputSchemaParam{
		Properties: map[string]any{"city": map[string]any{"type": "string"}},
	}
	return anthropic.MessageNewParams{
		Model:     model,
		MaxTokens: 1024,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
		Tools:     []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(schema, "look")},
	}
}

func readMessage(message anthropic.Message) heard {
	var answer heard
	for _, block := range message.Content {
		switch block.Type {
		case "text":
			answer.Text += block.Text
		case "tool_use":
			answer.Calls = append(answer.Calls, call{block.Name, string(block.Input)})
		}
	}
	return answer
}

func messages(prompt string) heard {
	client := anthropicClient()
	message, err := client.Messages.New(context.Background(), messageParams(prompt))
	check(err)
	return readMessage(*message)
}

func messagesStream(prompt string) heard {
	client := anthropicClient()
	events := client.Messages.NewStreaming(context.Background(), messageParams(prompt))
	message := anthropic.Message{}
	for events.Next() {
		check(message.Accumulate(events.Current()))
	}
	check(events.Err())
	return readMessage(message)
}

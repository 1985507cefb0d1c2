//! Asks a gateway with a released Rust client of one family, and prints what came as JSON.
//!
//!     clients openai|anthropic PROMPT…     each prompt whole, then streamed

use std::{env, error::Error};

use async_anthropic::types::{
    ContentBlockDelta, CreateMessagesRequest, MessageContent, MessagesStreamEvent,
};
use async_openai::{
    config::OpenAIConfig,
    types::chat::{ChatCompletionMessageToolCalls, CreateChatCompletionRequest},
};
use futures::StreamExt;
use serde_json::{Value, json};

const MODEL: &str = "kimi-k2.5";

/// A text, and calls by name and arguments.
#[derive(Default)]
struct Heard {
    text: String,
    calls: Vec<(String, String)>,
}

type Outcome = Result<Heard, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = env::args().skip(1);
    let is_openai = arguments.next().as_deref() == Some("openai");
    let mut answers = Vec::new();
    for prompt in arguments {
        for stream in [false, true] {
            let outcome = match (is_openai, stream) {
                (true, false) => openai(&prompt).await,
                (true, true) => openai_stream(&prompt).await,
                (false, false) => anthropic(&prompt).await,
                (false, true) => anthropic_stream(&prompt).await,
            };
            answers.push(written(outcome));
        }
    }
    println!("{}", Value::Array(answers));
}

fn written(outcome: Outcome) -> Value {
    match outcome {
        Err(error) => json!({"text": "", "calls": [], "error": error.to_string()}),
        Ok(heard) => {
            let calls: Vec<Value> = heard
                .calls
                .iter()
                .map(|(name, arguments)| json!({"name": name, "arguments": arguments}))
                .collect();
            json!({"text": heard.text, "calls": calls, "error": null})
        }
    }
}

fn gateway() -> String {
    env::var("FAREGATE_URL").expect("the gateway's URL")
}

fn key() -> String {
    env::var("FAREGATE_KEY").expect("a key")
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}})
}

fn openai_client() -> async_openai::Client<OpenAIConfig> {
    let base = format!("{}/api/openai/v1", gateway());
    async_openai::Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key(key()))
}

fn chat_request(prompt: &str) -> CreateChatCompletionRequest {
    serde_json::from_value(json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": schema()}}],
    }))
    .expect("a request of chat")
}

async fn openai(prompt: &str) -> Outcome {
    let answer = openai_client().chat().create(chat_request(prompt)).await?;
    let message = &answer.choices[0].message;
    let mut heard = Heard { text: message.content.clone().unwrap_or_default(), calls: vec![] };
    for call in message.tool_calls.iter().flatten() {
        if let ChatCompletionMessageToolCalls::Function(made) = call {
            heard.calls.push((made.function.name.clone(), made.function.arguments.clone()));
        }
    }
    Ok(heard)
}

async fn openai_stream(prompt: &str) -> Outcome {
    let mut chunks = openai_client().chat().create_stream(chat_request(prompt)).await?;
    let mut heard = Heard::default();
    while let Some(chunk) = chunks.next().await {
        for choice in chunk?.choices {
            heard.text += &choice.delta.content.unwrap_or_default();
            for call in choice.delta.tool_calls.unwrap_or_default() {
                let Some(function) = call.function else { continue };
                if call.id.is_some() {
                    heard.calls.push((function.name.unwrap_or_default(), String::new()));
                }
                heard.calls[call.index as usize].1 += &function.arguments.unwrap_or_default();
            }
        }
    }
    Ok(heard)
}

fn anthropic_client() -> async_anthropic::Client {
    async_anthropic::Client::builder()
        .base_url(format!("{}/api/anthropic", gateway()))
        .api_key(key())
        .version("2023-06-01")
        .build()
        .expect("a client")
}

fn messages_request(prompt: &str) -> CreateMessagesRequest {
    serde_json::from_value(json!({
        "model": MODEL,
        "max_tokens": 1024,
        "stream": false,
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        "tools": [{"name": "look", "input_schema": schema()}],
    }))
    .expect("a request of messages")
}

async fn anthropic(prompt: &str) -> Outcome {
    let answer = anthropic_client().messages().create(messages_request(prompt)).await?;
    let mut heard = Heard::default();
    for block in answer.content.unwrap_or_default() {
        match block {
            MessageContent::Text(text) => heard.text += &text.text,
            MessageContent::ToolUse(made) => heard.calls.push((made.name, made.input.to_string())),
            MessageContent::ToolResult(_) => (),
        }
    }
    Ok(heard)
}

async fn anthropic_stream(prompt: &str) -> Outcome {
    let mut events = anthropic_client().messages().create_stream(messages_request(prompt)).await;
    let mut heard = Heard::default();
    while let Some(event) = events.next().await {
        match event? {
            MessagesStreamEvent::ContentBlockStart { content_block, .. } => {
                if let MessageContent::ToolUse(made) = content_block {
                    heard.calls.push((made.name, String::new()));
                }
            }
            MessagesStreamEvent::ContentBlockDelta { delta, .. } => match delta {
                ContentBlockDelta::TextDelta { text } => heard.text += &text,
                ContentBlockDelta::InputJsonDelta { partial_json } => {
                    heard.calls.last_mut().expect("a call").1 += &partial_json;
                }
            },
            _ => (),
        }
    }
    Ok(heard)
}

"""Asks both SDKs, streaming and not, with nothing set but the environment of a Secret."""

import anthropic
import openai

MODEL = "kimi-k2.5"
QUESTION = "!answer four"


def main() -> None:
    """One line for each of the four answers."""
    chat = openai.OpenAI(max_retries=0)
    whole = chat.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    )
    print("openai", whole.choices[0].message.content)
    with chat.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}]
    ) as events:
        final = events.get_final_completion()
        print("openai streaming", final.choices[0].message.content)
    messages = anthropic.Anthropic(max_retries=0)
    answer = messages.messages.create(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
    )
    print("anthropic", answer.content[0].text)  # type: ignore[union-attr]  # text was asked for
    with messages.messages.stream(
        model=MODEL, max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        print("anthropic streaming", stream.get_final_text())


if __name__ == "__main__":
    main()

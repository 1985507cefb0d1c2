"""The chat dialect: OpenAI's Chat Completions, Moonshot's Kimi, vLLM, SGLang and Ollama.

From a client to an upstream     request_reader    history_reader, tools, reasoning
                                 request_writer    history_writer
Back, for all clients            answer_stream: chunk_scanner, chunk_template, odd_answers
      where both speak chat      answer_writer, completion: model_splice, repair
      into events, or from them  answer_reader, event_writer
"""

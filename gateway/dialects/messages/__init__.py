"""The Messages dialect: Anthropic's, Moonshot's `/anthropic`, vLLM and Ollama.

From a client to an upstream     request_reader    history_reader, blocks, result_pairing, tools
                                 request_writer    history_writer, thinking
      as its client wrote it     passthrough, betas
Back                             answer_reader, answer_writer: block_assembly, stream_writer
Tokens of a request, counted     token_count: images, tool_declaration
"""

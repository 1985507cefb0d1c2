"""The Responses dialect: OpenAI's, Moonshot's `/v1/responses` and vLLM.

From a client to an upstream     request_reader    history_reader, content, tools, stored_responses
                                 request_writer    history_writer
      as its client wrote it     passthrough
Back                             answer_reader, answer_writer: response_object, output_items
"""

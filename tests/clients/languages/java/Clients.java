import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.helpers.MessageAccumulator;
import com.anthropic.models.messages.ContentBlock;
import com.anthropic.models.messages.Message;
import com.anthropic.models.messages.MessageCreateParams;
import com.anthropic.models.messages.Tool;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.JsonValue;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionFunctionTool;
import com.openai.models.chat.completions.ChatCompletionMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;

/**
 * Asks a gateway with the released Java SDK of one family, and prints what came as JSON.
 *
 * <p>Clients openai|anthropic PROMPT…: each prompt whole, then streamed.
 */
class Clients {
  static final String MODEL = "kimi-k2.5";
  static final Map<String, Object> PROPERTIES = Map.of("city", Map.of("type", "string"));
  static final String URL = System.getenv("FAREGATE_URL");
  static final String KEY = System.getenv("FAREGATE_KEY");

  static final ObjectMapper JSON = new ObjectMapper();

  record Call(String name, String arguments) {}

  record Heard(String text, List<Call> calls, String error) {}

  public static void main(String[] arguments) throws Exception {
    BiFunction<String, Boolean, Heard> ask =
        arguments[0].equals("openai") ? openai() : anthropic();
    List<Heard> answers = new ArrayList<>();
    for (String prompt : List.of(arguments).subList(1, arguments.length)) {
      for (boolean stream : new boolean[] {false, true}) {
        try {
          answers.add(ask.apply(prompt, stream));
        } catch (com.openai.errors.OpenAIException | com.anthropic.errors.AnthropicException e) {
          answers.add(new Heard("", List.of(), e.getMessage()));
        }
      }
    }
    System.out.println(JSON.writeValueAsString(answers));
  }

  static BiFunction<String, Boolean, Heard> openai() {
    OpenAIClient client =
        OpenAIOkHttpClient.builder()
            .baseUrl(URL + "/api/openai/v1")
            .apiKey(KEY)
            .maxRetries(0)
            .build();
    FunctionParameters parameters =
        FunctionParameters.builder()
            .putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty("properties", JsonValue.from(PROPERTIES))
            .build();
    FunctionDefinition look =
        FunctionDefinition.builder().name("look").parameters(parameters).build();
    return (prompt, stream) -> {
      ChatCompletionCreateParams params =
          ChatCompletionCreateParams.builder()
              .model(MODEL)
              .addUserMessage(prompt)
              .addTool(ChatCompletionFunctionTool.builder().function(look).build())
              .build();
      if (!stream) {
        return readCompletion(client.chat().completions().create(params));
      }
      ChatCompletionAccumulator together = ChatCompletionAccumulator.create();
      try (var chunks = client.chat().completions().createStreaming(params)) {
        chunks.stream().forEach(together::accumulate);
      }
      return readCompletion(together.chatCompletion());
    };
  }

  static Heard readCompletion(ChatCompletion completion) {
    ChatCompletionMessage message = completion.choices().get(0).message();
    List<Call> calls = new ArrayList<>();
    for (var made : message.toolCalls().orElse(List.of())) {
      var function = made.asFunction().function();
      calls.add(new Call(function.name(), function.arguments()));
    }
    return new Heard(message.content().orElse(""), calls, null);
  }

  static BiFunction<String, Boolean, Heard> anthropic() {
    AnthropicClient client =
        AnthropicOkHttpClient.builder()
            .baseUrl(URL + "/api/anthropic")
            .apiKey(KEY)
            .maxRetries(0)
            .build();
    Tool.InputSchema schema =
        Tool.InputSchema.builder()
            .properties(com.anthropic.core.JsonValue.from(PROPERTIES))
            .build();
    Tool look = Tool.builder().name("look").inputSchema(schema).build();
    return (prompt, stream) -> {
      MessageCreateParams params =
          MessageCreateParams.builder()
              .model(MODEL)
              .maxTokens(1024)
              .addUserMessage(prompt)
              .addTool(look)
              .build();
      if (!stream) {
        return readMessage(client.messages().create(params));
      }
      MessageAccumulator together = MessageAccumulator.create();
      try (var events = client.messages().createStreaming(params)) {
        events.stream().forEach(together::accumulate);
      }
      return readMessage(together.message());
    };
  }

  static Heard readMessage(Message message) {
    StringBuilder text = new StringBuilder();
    List<Call> calls = new ArrayList<>();
    for (ContentBlock block : message.content()) {
      block.text().ifPresent(one -> text.append(one.text()));
      block
          .toolUse()
          .ifPresent(
              one -> {
                Map<?, ?> input = one._input().convert(Map.class);
                calls.add(new Call(one.name(), JSON.valueToTree(input).toString()));
              });
    }
    return new Heard(text.toString(), calls, null);
  }
}

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/**
 * Asks a gateway with Java's own client, which wants to upgrade plain HTTP to HTTP/2 (RFC 7540,
 * section 3.2), and prints the version and the status that it got, and then the body.
 *
 * <p>Plain PATH: the body on standard input.
 */
class Plain {
  public static void main(String[] arguments) throws Exception {
    String body = new String(System.in.readAllBytes(), "UTF-8");
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(System.getenv("FAREGATE_URL") + arguments[0]))
            .header("authorization", "Bearer " + System.getenv("FAREGATE_KEY"))
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).build();
    HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(answer.version() + " " + answer.statusCode());
    System.out.println(answer.body());
  }
}

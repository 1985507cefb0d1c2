"""The simulated upstream: a provider that speaks `chat` as Moonshot's Kimi does, `messages`,
`responses` and `gemini`, scripted by the request. It serves the demo, the load test and `helm
test`, and is the stand-in of our tests.

It is deterministic: the same request gives the same bytes. It must never import another part of
`gateway`, so that nothing of ours can agree with itself, and it must never let through what the
real upstream refuses.

    app ──▶ rules ──▶ script ──▶ answer ──▶ stream ──▶ delivery ──▶ exchange
    routes  refused?  directives  content   chunks     pace, faults  the connection

**Directives** are lines of a user message that start with `!`; other lines are speech. An unknown
directive is speech too; a known one with a bad argument is a 400. The newest message that has any
is the script, until an assistant message without tool calls answers it. A *chunk* is one SSE
event with choices; the first is the role alone. `SECONDS` may have a fraction; a silence or stall
of `hold` lasts until `POST /release`.

    content     !answer TEXT            the answer; repeat for more lines, \\n is a line break
                !chunks N [MS]          N content chunks, with a pause between all chunks
                !tool NAME [JSON]       a call; repeat for parallel ones; JSON is sent as it is
                !interleave             fragments of parallel calls take turns
                !late-name              a call's first fragment comes before its id and name
                !reason TEXT            reasoning, whether thinking is on or not; repeat for lines
                !reason-as MEMBER       reasoning_content, reasoning or reasoning_details
                !think-tags             reasoning inside <think>…</think> in the content
    the end     !refuse                 finish_reason content_filter
                !length                 finish_reason length
                !finish VALUE           any other finish_reason
                !block REASON           the prompt is blocked (in the Gemini dialect)
                !choices N              so many choices, for any `n`
                !end-early              a clean end without finish_reason, usage and [DONE]
                !no-done                finish_reason, but no [DONE]
    failures    !error STATUS [TYPE] [RETRY_AFTER]
                !error-event            an error object after two chunks (or as the body, with 200)
                !cut N                  the connection drops after N chunks, or within the body
                !hang-up                the connection drops without an answer
    pace        !silence SECONDS        nothing, not even headers, for so long
                !stall N SECONDS        headers and N chunks, then a silence, then the rest
    usage       !usage PLACE            final, choice, both, finish or none
                !cached N               N prompt tokens came from the cache
                !cache-write N [hour]   N prompt tokens were written to it (not in Gemini), for an
                                        hour (in Messages)
    writes      !split                  events cut anywhere, also inside a character
                !coalesce               many events in one write
                !spaces                 spaces after colons and commas, CRLF line ends
                !tight                  no space after `data:`
                !comments               a comment before every event
    scope       !only MODEL             what follows counts for this model id only (`*`: for all)
                !when WHAT              what follows counts for such requests only: stream, whole,
                                        no-tools, tool NAME, or * for all
                !then                   what follows is for the turn after the next tool results

The script's turn is the number of assistant messages with tool calls after its user message, so a
tool loop ends by itself: past the last `!then` the answer is plain text.
"""

"""The console: web pages for people who have an account here.

    gateway ──▶ mount ──▶ (loaded by the first request) application ──▶ pages/*
                 │ size, time, places         │ security headers, cookies, errors

The pages, their framework and their templates are loaded by the first request for one of them.
`mount`, `services` and `site` are loaded at the start and import none of it.

A page is a module in `pages/` with a `router`, which `application` lists:

    router = APIRouter()

    @router.get("/keys")
    async def keys(request: Request, session: SignedIn, console: Console) -> Response:
        found = await console.run(list_personal_keys, session.own_account_ids)
        return render(request, "keys.html", session=session, keys=found)

`SignedIn` sends others to the sign-in page, and refuses a form without the session's token: each
form holds `{{ csrf_field() }}`. `console.run` runs a function of the store in a thread, with the
console's own database. A template extends `base.html`, whose blocks are `title`, `navigation`,
`message` and `content`; `static("console.css")` is the URL of a file in `static/`, and `_("…")`
marks a text that is translated. A POST ends in `redirect(…)`.
"""

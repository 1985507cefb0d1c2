"""The console: web pages for people who have an account here.

    gateway ──▶ mount ──▶ (loaded by the first request) application ──▶ pages/*
                 │ size, time, places         │ security headers, cookies, errors

The pages, their framework and their templates are loaded by the first request for one of them.
`mount`, `services` and `site` are loaded at the start and import none of it.

A page is a module in `pages/` with a `router`, which `application` lists:

    router = APIRouter()

    @router.get("/limits")
    async def show_limits(
        request: Request, session: SignedIn, console: Console, viewed: ViewedAccount
    ) -> Response:
        found = await console.run(read_limits, viewed.account.id)
        return render_page(request, "limits.html", session, viewed, limits=found)

`SignedIn` sends others to the sign-in page, and refuses a form without the session's token: each
form holds `{{ csrf_field() }}`. `ViewedAccount` is the account that the page is about; the menu's
links keep it. `console.run` runs a function of the store in a thread, with the console's own
database. A template extends `page.html`, which has the menu, and fills the blocks `title` and
`content`; `static("console.css")` is the URL of a file in `static/`, and `_("…")`, or `marked("…")`
in Python, marks a text that is translated. A POST ends in `redirect(…)`. `CONTRIBUTING.md` lists
the other places that know each page.
"""

package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"

	"github.com/valyala/fasthttp"
)

// showPage makes a page for people the body of the response.
func (r *request) showPage(page []byte) {
	h := &r.ctx.Response.Header
	h.SetContentType("text/html; charset=utf-8")
	h.Set(fasthttp.HeaderContentSecurityPolicy, pagePolicy)
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	r.ctx.Response.SetBodyRaw(page)
}

// pageStyle is how pages look: like the browser's own, in its light or dark colours, on any width.
const pageStyle = `:root{color-scheme:light dark;--line:#767676;--soft:#595959}` +
	`@media(prefers-color-scheme:dark){:root{--line:#8c8c8c;--soft:#b3b3b3}}` +
	`body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.5 system-ui,sans-serif}` +
	`main{box-sizing:border-box;width:100%;max-width:34rem;padding:2rem 1.5rem}` +
	`h1{font-size:1.75rem;line-height:1.25;margin:0 0 .75rem;overflow-wrap:break-word}` +
	`p{margin:0 0 1.5rem}.status{margin:0 0 .25rem;color:var(--soft)}` +
	`a{display:inline-block;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.375rem;color:inherit;text-decoration:none}` +
	`a:hover{text-decoration:underline}a:focus-visible{outline:3px solid;outline-offset:2px}`

// pagePolicy lets a page do nothing but look as it does.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
}()

// page returns the page of a refusal. detail is plain text.
func page(status int, detail string) []byte {
	var more string
	if mayPass(status) {
		more = `<p><a href="">Try again</a></p>`
	}
	return newPage(status, http.StatusText(status), "<p>"+html.EscapeString(detail)+"</p>\n"+more)
}

// newPage returns a page for people. body is HTML. Nothing in a page comes from the request, and nothing is loaded from elsewhere.
func newPage(status int, title, body string) []byte {
	return fmt.Appendf(nil, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%[2]s</title>
<style>%[4]s</style>
</head>
<body>
<main>
<p class="status">%[1]d</p>
<h1>%[2]s</h1>
%[3]s
</main>
</body>
</html>
`, status, title, body, pageStyle)
}

// mayPass reports whether a refusal may be another one in a moment, so that it is worth trying again.
func mayPass(status int) bool {
	switch status {
	case fasthttp.StatusRequestTimeout, http.StatusTooEarly, fasthttp.StatusTooManyRequests, fasthttp.StatusInternalServerError,
		fasthttp.StatusBadGateway, fasthttp.StatusServiceUnavailable, fasthttp.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

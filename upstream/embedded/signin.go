package embedded

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Of signInPage, SIGNED_IN is who is signed in already, and RETURN_TO where it leads back to. It is no template: html/template calls methods
// by their names, and so keeps the linker from leaving out whatever nobody uses, which is a quarter of the binary.
const signInPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in</title>
<style>` + pageStyle + `</style>
</head>
<body>
<main>
SIGNED_IN<h1>Sign in as anybody</h1>
<p>This stands in for a session service, for development and tests. There are no passwords.</p>
<form method="post">
<input type="hidden" name="return_to" value="RETURN_TO">
<p><label>E-mail address <input class="text" name="email" type="email" required autofocus></label></p>
<p><label>Name <input class="text" name="name"></label></p>
<p><label><input type="checkbox" name="aal" value="aal2"> with a second factor</label></p>
<p><button>Sign in</button></p>
</form>
</main>
</body>
</html>
`

// Of signedIn, WHO is an address, LEVEL what the session is good for, and HOST for whom its cookie is. The link is relative, since the page
// is also at /admin/sign-in.
const signedIn = `<section>
<h1>Signed in as WHO</h1>
<p>The session is of LEVEL. Its cookie is for every port of HOST: open the application under that name.</p>
<form method="post" action="sign-out"><button>Sign out</button></form>
</section>
`

// pageStyle is how the page looks: like the browser's own, in its light or dark colours, on any width.
const pageStyle = `:root{color-scheme:light dark;--line:#767676}` +
	`@media(prefers-color-scheme:dark){:root{--line:#8c8c8c}}` +
	`body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.5 system-ui,sans-serif}` +
	`main{box-sizing:border-box;width:100%;max-width:34rem;padding:2rem 1.5rem}` +
	`h1{font-size:1.75rem;line-height:1.25;margin:0 0 .75rem;overflow-wrap:anywhere}p{margin:0 0 1.25rem}` +
	`section{margin:0 0 2rem;padding:0 0 2rem;border-bottom:1px solid var(--line)}` +
	`button,.text{box-sizing:border-box;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.375rem;font:inherit}` +
	`.text{display:block;width:100%;margin-top:.375rem;padding:.5rem .75rem}:focus-visible{outline:3px solid;outline-offset:2px}`

// pagePolicy lets the page do nothing but look as it does, and send its forms.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

// signInAPI is a page on which a developer signs in as anybody, and is led back to the application with a session cookie: what login pages
// are in production. It is part of the admin API, since whoever reaches it can be anybody.
func (s *Service) signInAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", s.showSignIn)
	mux.Handle("POST /sign-in", handler(s.signIn))
	mux.Handle("POST /sign-out", handler(s.leave))
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *Service) showSignIn(w http.ResponseWriter, r *http.Request) {
	to, already := r.FormValue("return_to"), ""
	if x, i := s.caller(r, now()); x != nil && to == "" { // who is led here is to sign in
		var traits struct{ Email string }
		_ = json.Unmarshal(i.Traits, &traits) // a session that was made by API may be of somebody without an address
		here := &url.URL{Host: r.Host}
		already = strings.NewReplacer(
			"WHO", html.EscapeString(cmp.Or(traits.Email, i.ID)), "LEVEL", x.AAL, "HOST", html.EscapeString(here.Hostname()),
		).Replace(signedIn)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	_, _ = io.WriteString(w, strings.NewReplacer("SIGNED_IN", already, "RETURN_TO", html.EscapeString(to)).Replace(signInPage))
}

func (s *Service) signIn(w http.ResponseWriter, r *http.Request) error {
	to, err := returnTo(r)
	if err != nil {
		return err
	}
	email := r.PostFormValue("email")
	traits, err := json.Marshal(map[string]string{"email": email, "name": r.PostFormValue("name")})
	if err != nil {
		return err
	}
	sum := s.sign("identity|" + email) // so that the same address is the same identity
	created, err := s.Create(NewSession{Identity: &NewIdentity{ID: uuid([16]byte(sum)), Traits: traits}, AAL: r.PostFormValue("aal")})
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: created.SessionCookie.Name, Value: created.SessionCookie.Value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	if to == "" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return writeJSON(w, http.StatusCreated, created)
	}
	seeOther(w, cmp.Or(to, "sign-in"))
	return nil
}

// leave ends the session of whoever asks, and leads back to the page.
func (s *Service) leave(w http.ResponseWriter, r *http.Request) error {
	if x, _ := s.caller(r, now()); x != nil {
		if err := s.endOne(x); err != nil {
			return err
		}
	}
	http.SetCookie(w, &http.Cookie{Name: s.cfg.Cookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	seeOther(w, "sign-in")
	return nil
}

// seeOther is http.Redirect for a place that may be relative to the address that the client sees, of which the prefix is not known here.
func seeOther(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// returnTo says where a developer is led back to: to any port of this host, for which the cookie is, or nowhere.
func returnTo(r *http.Request) (string, error) {
	to := r.FormValue("return_to")
	if to == "" {
		return "", nil
	}
	u, err := url.Parse(to)
	here := &url.URL{Host: r.Host}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() != here.Hostname() {
		return "", refuse(http.StatusBadRequest, "return_to: want a URL of "+here.Hostname()+", for which the session cookie is: "+
			"open the application and this page under the same name")
	}
	return u.String(), nil
}

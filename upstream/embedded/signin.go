package embedded

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Of signInPage, RETURN_TO is where it leads back to. It is no template: html/template calls methods by their names, and so keeps the linker
// from leaving out whatever nobody uses, which is a quarter of the binary.
const signInPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<h1>Sign in as anybody</h1>
<p>This stands in for a session service, for development and tests. There are no passwords.</p>
<form method="post">
<input type="hidden" name="return_to" value="RETURN_TO">
<p><label>E-mail address <input name="email" type="email" required autofocus></label>
<p><label>Name <input name="name"></label>
<p><label><input type="checkbox" name="aal" value="aal2"> with a second factor</label>
<p><button>Sign in</button>
</form>
`

// signInAPI is a page on which a developer signs in as anybody, and is led back to the application with a session cookie: what login pages
// are in production. It is part of the admin API, since whoever reaches it can be anybody.
func (s *Service) signInAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		_, _ = io.WriteString(w, strings.Replace(signInPage, "RETURN_TO", html.EscapeString(r.FormValue("return_to")), 1))
	})
	mux.Handle("POST /sign-in", handler(s.signIn))
	return http.NewCrossOriginProtection().Handler(mux)
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
	if to == "" {
		return writeJSON(w, http.StatusCreated, created)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
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

package demo

import (
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

//go:embed assets
var assets embed.FS

// A site is the example application. It believes what the gateway tells it, so nobody else is meant to reach it.
type site struct {
	sessions *sessions
	cookie   string   // that holds a session
	identity []string // names of the identity headers
	leads    bool     // the gateway leads browsers here to sign in
	page     *template.Template
	logger   *slog.Logger
}

// newSite returns the example application, safe against requests that other sites make a browser send, and against framing.
func newSite(cfg *config.Config, logger *slog.Logger) http.Handler {
	service := cfg.Upstream.Embedded
	x := &site{
		sessions: newSessions(urlOf(service.AdminListen)),
		cookie:   service.Cookie,
		page:     template.Must(template.ParseFS(assets, "assets/page.html")),
		leads:    cfg.Login != nil,
		logger:   logger,
	}
	for _, h := range cfg.IdentityHeaders {
		x.identity = append(x.identity, h.Name)
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/{$}", "/private", "/private/", "/admin", "/admin/"} {
		mux.HandleFunc("GET "+path, x.show)
	}
	mux.Handle("GET /assets/style.css", asset("text/css; charset=utf-8", "assets/style.css"))
	mux.Handle("GET /assets/icon.svg", asset("image/svg+xml", "assets/icon.svg"))
	mux.HandleFunc("POST /sign-in", x.signIn)
	mux.HandleFunc("POST /sign-out", x.signOut)
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

// secured adds to every answer what keeps browsers from doing harm with it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with none, browsers would hide the origin of forms from us too
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		next.ServeHTTP(w, r)
	})
}

func asset(contentType, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, assets, name)
	})
}

// wantsHTML reports whether a browser asks, rather than a program.
func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// show answers with what the gateway has told about the request.
func (x *site) show(w http.ResponseWriter, r *http.Request) {
	v := x.view(r)
	w.Header().Add("Vary", "Accept")
	if wantsHTML(r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = x.page.Execute(w, v) // fails only if the client has gone
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Hello %s\n", v.Name())
	for _, h := range v.Headers {
		fmt.Fprintf(&text, "%s: %s\n", h.Name, h.Value)
	}
	if v.Cache != "" {
		fmt.Fprintf(&text, "%s: %s\n", cacheHeader, v.Cache)
	}
	plain(w, http.StatusOK, text.String())
}

// signIn begins a session and hands it over: to a browser as a cookie, to a program as a token.
func (x *site) signIn(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	i := slices.IndexFunc(people, func(p person) bool { return p.Username == user })
	if i < 0 {
		plain(w, http.StatusBadRequest, "Nobody has this name. Sign in with user=alice, user=bob or user=carol.\n")
		return
	}
	g, err := x.sessions.begin(r.Context(), people[i])
	if err != nil {
		x.logger.Warn("nobody was signed in", "error", err)
		plain(w, http.StatusBadGateway, "The session service did not begin a session.\n")
		return
	}
	if !wantsHTML(r) {
		plain(w, http.StatusOK, g.Token+"\n")
		return
	}
	x.setCookie(w, g.Cookie.Value, 0)
	back := "/"
	if u := wanted(r, r.PostFormValue(wantedParam)); u != nil {
		back = u.String()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// signOut ends the session that the request belongs to.
func (x *site) signOut(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(sessionHeader)
	if id == "" {
		plain(w, http.StatusUnauthorized, "There is no session to end.\n")
		return
	}
	if err := x.sessions.end(r.Context(), id); err != nil {
		x.logger.Warn("nobody was signed out", "error", err)
		plain(w, http.StatusBadGateway, "The session service did not end the session.\n")
		return
	}
	x.setCookie(w, "", -1)
	if wantsHTML(r) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	plain(w, http.StatusOK, "Signed out.\n")
}

// setCookie sets the session cookie until the browser ends, or deletes it. It is not Secure, since a demo has no TLS.
func (x *site) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: x.cookie, Value: value, MaxAge: maxAge, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // fails only if the client has gone
}

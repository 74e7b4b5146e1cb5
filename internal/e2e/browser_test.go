package e2e

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// loginHost is where people sign in. Its session cookies are good for the application too.
const loginHost = "auth.example.com"

// A desk is the page where people sign in, sign out and raise their session, in place of Kratos' own.
type desk struct{ w *world }

var signInPage = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<body style="font: 20px sans-serif; margin: 3em"><h1>{{if .Raise}}Your second factor{{else}}Sign in{{end}}</h1>
<form method="post" action="/login?{{.Query}}"><input name="name" value="alice"><button id="go">Go on</button></form></html>`))

func (d desk) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	raise := r.URL.Query().Get("aal") == "aal2"
	switch {
	case r.URL.Path == "/logout":
		if c, err := r.Cookie(upstreamtest.DefaultCookie); err == nil {
			d.w.service.SignOut(c.Value)
		}
		http.SetCookie(rw, d.cookie("", -1))
		http.Redirect(rw, r, "http://"+host+"/page/front", http.StatusSeeOther)
	case r.Method == http.MethodPost:
		login := upstreamtest.Login{
			SessionID: "session-of-alice", Token: "token-of-alice", Cookies: []string{"session-of-alice"}, IdentityID: "alice",
			Traits: map[string]any{"email": "alice@example.com"},
		}
		if raise {
			login.AAL = upstream.AAL2
		}
		d.w.service.SignIn(login)
		http.SetCookie(rw, d.cookie("session-of-alice", 3600))
		http.Redirect(rw, r, r.URL.Query().Get("return_to"), http.StatusSeeOther)
	default:
		_ = signInPage.Execute(rw, struct {
			Raise bool
			Query template.URL
		}{raise, template.URL(r.URL.RawQuery)})
	}
}

func (d desk) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: upstreamtest.DefaultCookie, Value: value, Domain: "example.com", Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// A browser comes back from signing in to the very page that it wanted, and to the sign-in page after it has signed out. For what needs a
// second factor it is sent there once more.
func TestBrowser(t *testing.T) {
	chromium := program(t, "chromium")
	for name, start := range map[string]func(testing.TB, places) string{
		"nginx": startShippedNginx, "caddy": startCaddy, "haproxy": startHAProxy, "traefik": startTraefik,
	} {
		t.Run(name, func(t *testing.T) {
			w := startWorld(t, "http://"+loginHost+"/login")
			browse(t, chromium, start(t, w.places), serve(t, desk{w}))
		})
	}
}

// browse goes through the pages with a real browser. If SCREENSHOTS names a directory, it leaves a picture of each there.
func browse(t *testing.T, chromium, front, login string) {
	options := append(
		chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", fmt.Sprintf("MAP %s %s, MAP %s %s, MAP * ~NOTFOUND", host, front, loginHost, login)),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which is not for root
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()

	at := func(step, wantURL, wantText string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, append(steps, chromedp.WaitReady("body"))...); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		gotURL, err := chromedp.Run(ctx, chromedp.Location())
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		text, err := chromedp.Run(ctx, chromedp.Text("body"))
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if gotURL != wantURL || !strings.Contains(text, wantText) {
			t.Fatalf("%s: at %s\n%s\nwant %s with %q", step, gotURL, text, wantURL, wantText)
		}
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			write(t, dir, filepath.Base(t.Name())+"-"+step+".png", string(picture))
		}
	}
	goOn := chromedp.Steps(chromedp.Click("#go"), chromedp.WaitVisible("#out"))

	page := "http://" + host + "/page/a?b=c%26d&e=/f"
	signIn := "http://" + loginHost + "/login?return_to=" + url.QueryEscape(page)
	at("1-login", signIn, "Sign in", chromedp.Navigate(page))
	at("2-back", page, "alice@example.com", goOn)

	strong := "http://" + host + "/settings/page?g=h"
	at("3-step-up", "http://"+loginHost+"/login?aal=aal2&return_to="+url.QueryEscape(strong), "second factor", chromedp.Navigate(strong))
	at("4-raised", strong, "alice@example.com", goOn)
	at("5-page", page, "alice@example.com", chromedp.Navigate(page))

	home := "http://" + loginHost + "/login?return_to=" + url.QueryEscape("http://"+host+"/page/front")
	at("6-out", home, "Sign in", chromedp.Click("#out"), chromedp.WaitVisible("#go"))
	at("7-still-out", signIn, "Sign in", chromedp.Navigate(page))
}

package doctor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// renewed looks for a renewed cookie in the first answer to the session.
func (e *examination) renewed(r request) {
	for _, line := range e.page.header.Values("Set-Cookie") {
		if strings.HasPrefix(line, e.CookieName+"=") {
			e.passed("a renewed session cookie reaches the browser")
			return
		}
	}
	if e.RenewalDue && e.Credential.Cookie != "" {
		e.found("renewal_lost", Medium, Evidence{r.sent(), e.page.String() + ", without the cookie"})
		return
	}
	e.unchecked("whether a renewed cookie reaches the browser",
		"nothing was renewed, and only the session service knows whether something was due: give --cookie and --renewal-due if it was")
}

// signOutBites is what cannot be said without a sign-out.
const signOutBites = "whether a sign-out bites"

// signOut ends the session and measures for how long it is still let in.
func (e *examination) signOut() {
	if e.Logout == nil {
		e.unchecked(signOutBites, "give --logout URL and --allow-logout: it ends the session")
		return
	}
	if !e.page.ok() {
		e.unchecked(signOutBites, "there is no valid session to sign out")
		return
	}
	answered := e.leave()
	if answered == "" {
		return
	}
	since := time.Now()
	r := e.signedIn(e.get(e.target()))
	for tries := 0; e.err == nil; tries++ {
		a := e.ask(r)
		took := time.Since(since)
		refused := a.status != 0 && !a.ok()
		switch {
		case refused && tries == 0:
			e.passed("after the sign-out, the next request is refused")
			return
		case refused:
			e.found("logout_late", Medium, Evidence{r.sent(), fmt.Sprintf("%s for %s after the sign-out, then %s",
				e.page.String(), took.Round(100*time.Millisecond), a.String())})
			return
		case took >= e.LogoutWait:
			e.found("logout_ignored", High, Evidence{r.sent(), fmt.Sprintf("%s, %s after the sign-out (%s)",
				a.String(), took.Round(100*time.Millisecond), answered)})
			return
		}
		if e.err == nil {
			e.err = e.wait(e.LogoutWait / 60)
		}
	}
}

// leave signs out, and returns what that was answered with. It is empty if it did not succeed.
func (e *examination) leave() string {
	where := *e.Logout
	for range 2 {
		r := e.signedIn(request{method: "GET", target: where.RequestURI()})
		a := e.askAt(&where, r)
		if a.status < 200 || a.status >= 400 {
			e.unchecked(signOutBites, "the sign-out at "+display(&where)+" answers "+a.String())
			return ""
		}
		next := kratosLogout(&where, a.body)
		if next == nil {
			return a.String()
		}
		where = *next
	}
	e.unchecked(signOutBites, "the sign-out at "+display(&where)+" leads on and on")
	return ""
}

// kratosLogout returns where Kratos says that the sign-out goes on: its first answer to a browser's sign-out by script is a URL with a
// token (https://www.ory.sh/docs/kratos/reference/api#tag/frontend/operation/createBrowserLogoutFlow). The credential goes to no other host.
func kratosLogout(from *url.URL, body []byte) *url.URL {
	var flow struct {
		URL string `json:"logout_url"`
	}
	if json.Unmarshal(body, &flow) != nil || flow.URL == "" {
		return nil
	}
	next, err := url.Parse(flow.URL)
	if err != nil || next.Host != from.Host || next.Scheme != from.Scheme {
		return nil
	}
	return next
}

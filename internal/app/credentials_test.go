package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A session cookie in X-Session-Cookie is the session cookie: the service is asked with a cookie, once for both, and one revocation ends
// both. The application gets neither.
func TestSessionCookieInAHeader(t *testing.T) {
	w := start(t)
	var mu sync.Mutex
	asked := map[string]int{}
	w.service.Observe(func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Header.Get("Cookie")+"|"+r.Header.Get("X-Session-Cookie")]++
	})
	login := w.service.SignIn(upstreamtest.Login{Cookies: []string{"c-o-o-k-i-e=="}})
	header, cookie := []string{"X-Session-Cookie", "c-o-o-k-i-e=="}, []string{"Cookie", "a=1; ory_kratos_session=c-o-o-k-i-e=="}
	for _, f := range faces {
		for _, presented := range [][]string{header, cookie} {
			if a := f.ask(w, presented...); a.status != 200 {
				t.Fatalf("%s with %s: status %d", f.name, presented[0], a.status)
			}
		}
	}
	a := w.get(w.url+"/private", append(cookie, header...)...)
	if strings.Contains(a.body, "c-o-o-k-i-e") || !strings.Contains(a.body, "Cookie: a=1\r\n") || !strings.Contains(a.body, "X-User-Id: "+login.IdentityID) {
		t.Errorf("the application got %q", a.body)
	}
	mu.Lock()
	if len(asked) != 1 || asked["ory_kratos_session=c-o-o-k-i-e==|"] != 1 {
		t.Errorf("the service was asked %v", asked)
	}
	mu.Unlock()

	w.service.SignOut(login.SessionID)
	if r := w.do("POST", w.admin+"/-/revoke", "kind=session_cookie&credential=c-o-o-k-i-e==", "Content-Type", "application/x-www-form-urlencoded"); r.status != 200 {
		t.Fatalf("revoke: status %d: %s", r.status, r.body)
	}
	for _, f := range faces {
		for _, presented := range [][]string{header, cookie} {
			if a := f.ask(w, presented...); a.status != 401 {
				t.Errorf("%s with %s after the revocation: status %d", f.name, presented[0], a.status)
			}
		}
	}
}

// Without the kind in the configuration, the header is nobody's, and goes where every other header goes.
func TestSessionCookieInAHeaderIsOff(t *testing.T) {
	w := start(t, "credentials: [cookie]", "routes: [{ match: { path: /* }, access: optional }]")
	w.service.SignIn(upstreamtest.Login{Cookies: []string{"value"}})
	a := w.get(w.url+"/", "X-Session-Cookie", "value")
	if a.status != 200 || strings.Contains(a.body, "X-User-Id") || !strings.Contains(a.body, "X-Session-Cookie: value") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// The session cookie of Ory Network is found by the beginning of its name, and goes to the service under its own.
func TestCookieByAPattern(t *testing.T) {
	const name = "ory_session_romanticswirles"
	w := start(t, "upstream: { kratos: { url: SERVICE, cookie: ory_session_* }, timeout: 10s }")
	w.service.Cookie = name
	login := w.service.SignIn(upstreamtest.Login{Cookies: []string{"value"}})
	for _, f := range faces {
		if a := f.ask(w, "Cookie", "a=1; "+name+"=value; b=2"); a.status != 200 {
			t.Errorf("%s: status %d: %s", f.name, a.status, a.body)
		}
		if a := f.ask(w, "Cookie", name+"=value; ory_session_other=value"); a.status != 401 {
			t.Errorf("%s with cookies of two services: status %d", f.name, a.status)
		}
		if a := f.ask(w, "Cookie", "ory_session_*=value"); a.status != 401 {
			t.Errorf("%s with the pattern for a name: status %d", f.name, a.status)
		}
	}
	if n := w.service.Questions(); n != 1 {
		t.Errorf("%d questions", n)
	}
	if a := w.get(w.url+"/", "Cookie", "a=1; "+name+"=value; ory_session_=; b=2"); strings.Contains(a.body, "ory_session") || !strings.Contains(a.body, "Cookie: a=1; b=2\r\n") {
		t.Errorf("the application got %q", a.body)
	}
	w.service.SignOut(login.SessionID)
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if r := w.do("POST", w.admin+"/-/revoke", "kind=cookie&credential=value", form...); r.status == 200 {
		t.Error("the value alone was taken for a credential")
	}
	if r := w.do("POST", w.admin+"/-/revoke", "kind=cookie&credential="+name+"%3Dvalue", form...); r.status != 200 {
		t.Fatalf("revoke: status %d: %s", r.status, r.body)
	}
	if a := w.get(w.url+"/", "Cookie", name+"=value"); a.status != 401 {
		t.Errorf("after the revocation: status %d", a.status)
	}
}

// A session service that says 429 signs nobody out, is asked nothing for as long as it says, and tells what is left of its limit.
func TestRateLimitOfTheService(t *testing.T) {
	var limited atomic.Bool
	login := upstreamtest.Session("s1", "i1")
	stub := &upstreamtest.Stub{Answer: func(*http.Request) (int, http.Header, string) {
		if limited.Load() {
			return 429, http.Header{"Retry-After": {"3600"}, "X-Ratelimit-Remaining": {"0"}}, "{}"
		}
		return 200, http.Header{"X-Ratelimit-Remaining": {"79"}}, string(login.Body)
	}}
	w := start(t, "upstream: { kratos: { url: "+stub.Start(t).String()+" }, timeout: 10s }")
	if text := w.get(w.admin + "/metrics").body; strings.Contains(text, "gatehouse_upstream_rate_limit_remaining") {
		t.Error("a limit is told that the service has not told")
	}
	remaining := func(want string) {
		t.Helper()
		if text := w.get(w.admin + "/metrics").body; !strings.Contains(text, `gatehouse_upstream_rate_limit_remaining{upstream="kratos"} `+want+"\n") {
			t.Errorf("the limit is not told to be %s", want)
		}
	}
	if a := w.get(w.url+"/", "X-Session-Token", "known"); a.status != 200 {
		t.Fatalf("status %d", a.status)
	}
	remaining("79")
	limited.Store(true)
	for i, f := range faces {
		if a := f.ask(w, "X-Session-Token", fmt.Sprint("unknown", i)); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, want 503 with Retry-After", f.name, a.status)
		}
	}
	remaining("0")
	if n := stub.Questions(); n != 2 {
		t.Errorf("%d questions, want no more once the service wants none", n)
	}
	if a := w.get(w.url+"/", "X-Session-Token", "known"); a.status != 200 {
		t.Errorf("who is remembered gets status %d", a.status)
	}
}

package upstreamtest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// A Dialect is what tests must know of a kind of session service to play it with a [Stub]. All fields but Value must be set.
type Dialect struct {
	// New returns a Store that asks the service at base, and is closed when the test ends.
	New func(t *testing.T, base *url.URL) upstream.Store

	// Names are the names of the cookie or header that carries a credential, by the kinds that the service takes.
	Names map[upstream.Kind]string

	// Value is that of a credential, with a verb for its number. By default it looks like any secret.
	Value string

	// Session is the session with a number. Its Body is what the service says of it.
	Session func(n int) *upstream.Session

	// Nobody is what the service says to all others.
	Nobody func(r *http.Request) (status int, body string)

	// Asked is what a question presents. It is no credential if it is not as the Store should ask.
	Asked func(r *http.Request) (k upstream.Kind, value string)
}

// CookieOrBearer is what r presents if that is a cookie of this name or else a bearer token, and r asks for uri.
func CookieOrBearer(r *http.Request, uri, cookie string) (upstream.Kind, string) {
	if r.Method != http.MethodGet || r.RequestURI != uri {
		return upstream.NoCredential, ""
	}
	if c, err := r.Cookie(cookie); err == nil {
		return upstream.Cookie, c.Value
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return upstream.Bearer, token
	}
	return upstream.NoCredential, ""
}

// JSON is the head of an answer in JSON.
func JSON() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// TestStore is [TestStore] for the Store of the dialect.
func (d *Dialect) TestStore(t *testing.T) { TestStore(t, d.subject) }

func (d *Dialect) subject(t *testing.T) Subject {
	var mu sync.Mutex
	type presented struct {
		kind  upstream.Kind
		value string
	}
	sessions := map[presented]*upstream.Session{}
	stub := &Stub{Answer: func(r *http.Request) (int, http.Header, string) {
		mu.Lock()
		defer mu.Unlock()
		var p presented
		p.kind, p.value = d.Asked(r)
		if s := sessions[p]; s != nil {
			return http.StatusOK, JSON(), string(s.Body)
		}
		status, body := d.Nobody(r)
		return status, JSON(), body
	}}
	credential := func(k upstream.Kind, value string) upstream.Credential {
		return upstream.Credential{Kind: k, Name: d.Names[k], Value: []byte(value)}
	}
	s := stub.Subject(d.New(t, stub.Start(t)))
	s.Kinds = slices.Sorted(maps.Keys(d.Names))
	s.SignIn = func(k upstream.Kind) (upstream.Credential, *upstream.Session) {
		mu.Lock()
		defer mu.Unlock()
		verb := d.Value
		if verb == "" {
			verb = "secret-%d"
		}
		n := len(sessions)
		value := fmt.Sprintf(verb, n)
		sessions[presented{k, value}] = d.Session(n)
		return credential(k, value), d.Session(n)
	}
	s.Stranger = func(k upstream.Kind) upstream.Credential { return credential(k, "nobody-at-all") }
	return s
}

// Answers returns a function that tests what the Store makes of one answer to whatever it asks: session, no or outage. The answers that mean
// the same whatever the service are tested already.
func (d *Dialect) Answers(t *testing.T) (f func(status int, contentType, body, want string)) {
	t.Helper()
	cred := upstream.Credential{Kind: slices.Min(slices.Collect(maps.Keys(d.Names))), Value: []byte("secret")}
	f = func(status int, contentType, body, want string) {
		t.Helper()
		stub := &Stub{Answer: func(*http.Request) (int, http.Header, string) {
			return status, http.Header{"Content-Type": {contentType}}, body
		}}
		_, err := d.New(t, stub.Start(t)).Session(t.Context(), cred)
		got := "outage"
		if err == nil {
			got = "session"
		} else if upstream.Definite(err) {
			got = "no"
		}
		if got != want {
			t.Errorf("%d %s %q: %s (%v), want %s", status, contentType, body, got, err, want)
		}
	}
	const json = "application/json"
	good := d.Session(1)
	body := string(good.Body)
	f(200, json, body, "session")
	f(200, json, "", "outage")
	f(200, json, body[:len(body)-1], "outage")
	f(200, json, strings.ReplaceAll(body, `"`+good.ID+`"`, `""`), "outage")
	f(200, json, strings.ReplaceAll(body, `"`+good.IdentityID+`"`, `""`), "outage")
	f(200, json, strings.ReplaceAll(body, End, "tomorrow"), "outage")
	f(200, json, strings.ReplaceAll(body, End, "0001-01-01T00:00:00Z"), "outage") // which would read as no end at all
	f(401, json, `{}`, "no")
	f(401, "text/html", "<title>Sign in</title>", "outage")
	f(403, json, `{"code":"403","message":"no"}`, "outage")
	f(404, json, `{"code":"404"}`, "outage")
	f(429, json, `{"status":"429","detail":"API Rate limit exceeded."}`, "outage")
	f(500, json, `{"code":"500","message":"an internal error has occurred."}`, "outage")
	return f
}

// End is when the sessions of a [Dialect] end.
const End = "2099-02-25T20:49:09.17Z"

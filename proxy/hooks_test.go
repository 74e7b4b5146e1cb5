package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// fakeHooks expect messages with Authorization: Bearer key, and find of each what its body says.
type fakeHooks struct {
	mu       sync.Mutex
	received []string
}

func (*fakeHooks) Expects(header func(string) string) bool {
	return header("Authorization") == "Bearer key"
}

func (f *fakeHooks) Receive(_ string, header func(string) string, body []byte) policy.Reason {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received = append(f.received, header("Authorization")+" "+string(body))
	return policy.Reason(body)
}

func (f *fakeHooks) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.received)
}

const (
	hook = "/hooks/revoke"
	key  = "Authorization: Bearer key"
)

func newHookedGateway(t *testing.T, changes ...func(*setup)) (*gateway, *scriptedApp, *fakeHooks) {
	t.Helper()
	app, hooks := answering(t, ok("app")), &fakeHooks{}
	return newGateway(t, app, append(changes, func(s *setup) { s.Hooks, s.HooksPath = hooks, hook })...), app, hooks
}

func TestHooks(t *testing.T) {
	g, app, hooks := newHookedGateway(t, func(s *setup) { s.Explain = true })
	f := func(message string, status int, v policy.Verdict, r policy.Reason, received int) {
		t.Helper()
		before := hooks.count()
		res := g.ask(message)
		if res.StatusCode != status || hooks.count()-before != received {
			t.Errorf("status %d, want %d; %d messages received, want %d", res.StatusCode, status, hooks.count()-before, received)
		}
		if got := res.Header.Get("Content-Type"); (got == "application/problem+json") != (status >= 400) || (status < 400) != (res.body == "") {
			t.Errorf("%d: body %q of type %q", status, res.body, got)
		}
		if res.Header.Get("X-Gatehouse-Reason") != string(r) || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d: head %v", status, res.Header)
		}
		if want := (observation{proxy.HooksFace, v, r}); g.observer.last() != want {
			t.Errorf("observed %v, want %v", g.observer.last(), want)
		}
	}
	post := func(body string, lines ...string) string { return request("POST", hook, body, lines...) }
	f(post("message_received", key), 204, policy.Allowed, policy.MessageReceived, 1)
	f(post("message_unsigned", key), 401, policy.Unauthenticated, policy.MessageUnsigned, 1)
	f(post("message_old", key), 401, policy.Unauthenticated, policy.MessageOld, 1)
	f(post("message_replayed", key), 409, policy.Denied, policy.MessageReplayed, 1)
	f(post("message_unread", key), 400, policy.Malformed, policy.MessageUnread, 1)
	f(post("what is this", key), 400, policy.Malformed, policy.MessageUnread, 1)
	f(request("POST", hook, "", key), 400, policy.Malformed, policy.MessageUnread, 1)
	f(post("message_received"), 401, policy.Unauthenticated, policy.MessageUnsigned, 0)
	f(post("message_received", alice), 401, policy.Unauthenticated, policy.MessageUnsigned, 0)
	f(post("message_received", key, key), 401, policy.Unauthenticated, policy.MessageUnsigned, 0)
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS"} {
		f(request(method, hook, "", key), 405, policy.Malformed, policy.UnsupportedMethod, 0)
	}
	chunked := "POST " + hook + " HTTP/1.1\r\nHost: a\r\n" + key + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	f(chunked+"8\r\nmessage_\r\n8\r\nreceived\r\n0\r\n\r\n", 204, policy.Allowed, policy.MessageReceived, 1)
	large := strings.Repeat("x", 64<<10)
	f(post(large, key), 400, policy.Malformed, policy.MessageUnread, 1)
	f(post(large+"x", key), 413, policy.Limited, policy.BodyTooLarge, 0)
	f(fmt.Sprintf("%s%x\r\n%sx\r\n0\r\n\r\n", chunked, len(large)+1, large), 413, policy.Limited, policy.BodyTooLarge, 0)
	f(chunked+"8\r\nmessage_\r\nnonsense", 400, policy.Malformed, policy.AbortedBody, 0)
	f(request("POST", hook, "", key, "Content-Length: 1", "Transfer-Encoding: chunked"), 400, policy.Malformed, policy.MalformedHeaders, 0)
	for _, target := range []string{"/hooks%2frevoke", "/hooks/./revoke", "//hooks/revoke", "/hooks/%72evoke"} {
		g.ask(request("POST", target, "message_received", alice))
	}
	if heads := app.heads(); len(heads) != 0 {
		t.Errorf("the application was asked: %q", heads)
	}
}

// The log tells once of messages that were refused, and nothing of what came. Those of strangers do not hide the others.
func TestHooksTellOfRefusals(t *testing.T) {
	g, _, _ := newHookedGateway(t)
	f := func(warnings int, message string, reasons ...policy.Reason) {
		t.Helper()
		g.ask(message)
		log := g.log.String()
		if n := strings.Count(log, "level=WARN"); n != warnings {
			t.Errorf("%d warnings, want %d:\n%s", n, warnings, log)
		}
		for _, r := range reasons {
			if !strings.Contains(log, "message to hooks was refused: look at what its sender sends, and by which secret or key\" reason="+string(r)+" peer=127.0.0.1:") {
				t.Errorf("log does not tell of %s:\n%s", r, log)
			}
		}
		if strings.Contains(log, "what-came") {
			t.Errorf("log tells what came:\n%s", log)
		}
	}
	f(0, request("POST", hook, "message_received", key))
	f(1, request("POST", hook, "what-came", "Authorization: Bearer what-came"), policy.MessageUnsigned)
	f(1, request("GET", hook+"?what-came", ""))
	f(2, request("POST", hook, "what-came", key), policy.MessageUnread)
	f(2, request("POST", hook, "message_old", key))
	f(2, request("POST", hook, "what-came"))
}

// A message whose body cannot be wanted is answered before the body, and the connection goes on after one that was taken in.
func TestHooksReadTheHeadFirst(t *testing.T) {
	g, _, hooks := newHookedGateway(t)
	f := func(status int, lines ...string) {
		t.Helper()
		c := g.dial()
		c.send(request("POST", hook, "", lines...))
		if res := c.next("POST"); res.StatusCode != status || !res.Close {
			t.Errorf("%v: status %d close %v", lines, res.StatusCode, res.Close)
		}
	}
	f(401, "Content-Length: 10")
	f(401, "Content-Length: 10", expects)
	f(401, "Transfer-Encoding: chunked")
	f(413, "Content-Length: 65537", key)
	f(413, "Content-Length: 65537", key, expects)

	c := g.dial()
	for range 2 {
		c.send(request("POST", hook, "", "Content-Length: 16", key, expects))
		if res := c.next("POST"); res.StatusCode != http.StatusContinue {
			t.Fatalf("status %d before the body", res.StatusCode)
		}
		c.send("message_received")
		if res := c.next("POST"); res.StatusCode != 204 || res.Close {
			t.Fatalf("status %d close %v", res.StatusCode, res.Close)
		}
	}
	if n := hooks.count(); n != 2 {
		t.Errorf("%d messages", n)
	}
}

// One client may have so many messages under way, and slow ones are given up.
func TestHooksAreLimited(t *testing.T) {
	g, _, hooks := newHookedGateway(t, func(s *setup) {
		s.Limits.RequestsPerClient, s.Limits.BodyTimeout = 1, 500*time.Millisecond
	})
	slow := g.dial()
	slow.send(request("POST", hook, "", "Content-Length: 16", key, expects))
	if res := slow.next("POST"); res.StatusCode != http.StatusContinue {
		t.Fatalf("status %d before the body", res.StatusCode)
	}
	slow.send("message_")                                                         // and then nothing
	for g.ask(request("POST", hook, "message_received", key)).StatusCode == 204 { // until the slow one is being read
	}
	if got := g.observer.last(); got.Reason != policy.TooManyRequests {
		t.Errorf("observed %v", got)
	}
	if res := slow.next("POST"); res.StatusCode != 408 {
		t.Errorf("status %d", res.StatusCode)
	}
	before := hooks.count()
	if res := g.ask(request("POST", hook, "message_received", key)); res.StatusCode != 204 || hooks.count() != before+1 {
		t.Errorf("status %d after it", res.StatusCode)
	}
}

// A message that comes byte by byte has no more time than a head, whatever bodies have.
func TestHooksWaitNoLongerThanForAHead(t *testing.T) {
	g, _, hooks := newHookedGateway(t, func(s *setup) { s.Limits.HeadTimeout, s.Limits.BodyTimeout = 500*time.Millisecond, time.Hour })
	for _, framing := range []string{"Content-Length: 16", "Transfer-Encoding: chunked"} {
		c := g.dial()
		c.send(request("POST", hook, "", framing, key) + "1") // and then nothing
		if res := c.next("POST"); res.StatusCode != 408 || !res.Close {
			t.Errorf("%s: status %d close %v", framing, res.StatusCode, res.Close)
		}
		if got := g.observer.last(); got.Reason != policy.BodyTimeout {
			t.Errorf("%s: observed %v", framing, got)
		}
	}
	if n := hooks.count(); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// What is said about a message besides its head and body is not listened to, and what it might be read as otherwise is refused.
func TestHooksAttacked(t *testing.T) {
	g, app, hooks := newHookedGateway(t, trusting, func(s *setup) { s.AccessLog = true })
	f := func(message string, status, received int) {
		t.Helper()
		before := hooks.count()
		if res := g.ask(message); res.StatusCode != status || hooks.count()-before != received {
			t.Errorf("%q: status %d, want %d; %d messages received, want %d", message, res.StatusCode, status, hooks.count()-before, received)
		}
	}
	const body = "message_received"
	head := func(lines ...string) string {
		return "POST " + hook + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	const chunked, chunks = "Transfer-Encoding: chunked", "10\r\n" + body + "\r\n0\r\n"
	f(head(key, chunked)+chunks+"\r\n", 204, 1)

	// A trailer is no header: a key that comes after the body is none, and one that came before is not taken back.
	f(head("Trailer: Authorization", chunked)+chunks+key+"\r\n\r\n", 400, 0)
	f(head(key, "Trailer: X-Other", chunked)+chunks+"X-Other: 1\r\n\r\n", 204, 1)

	f(head(key, "Content-Length: 16", "Content-Length: 16")+body, 400, 0)
	f(head(key, "Content-Length: 16", "Connection: close")+body+"POST /x HTTP/1.1\r\n", 204, 1) // what follows is no part of it
	f(head("Authorization:\r\n Bearer key", "Content-Length: 16")+body, 400, 0)
	f(head("Authorization : Bearer key", "Content-Length: 16")+body, 400, 0)
	f(head("Authorization_: Bearer key", "X-Authorization: Bearer key", "Content-Length: 16")+body, 401, 0)
	f(strings.Replace(head(key, "Content-Length: 16"), "HTTP/1.1", "HTTP/1.0", 1)+body, 204, 1)
	f(strings.Replace(head(key, chunked), "HTTP/1.1", "HTTP/1.0", 1)+chunks+"\r\n", 400, 0)
	f(strings.Replace(head(key, "Content-Length: 16"), "HTTP/1.1", "HTTP/2.0", 1)+body, 505, 0)
	f(strings.Replace(head(key, "Content-Length: 16"), "POST", "post", 1)+body, 405, 0)
	f(strings.Replace(head(key, "X-HTTP-Method-Override: POST"), "POST", "GET", 1), 405, 0)

	// The path is the hook's in every spelling that has one reading, and nobody's in the others.
	for _, target := range []string{hook + "?x=/public/y", hook + ";x=y", "/hooks;x/revoke", "http://app.example.com" + hook, "/%68ooks/revoke"} {
		f(request("POST", target, body, key), 204, 1)
	}
	for _, target := range []string{"//hooks/revoke", "/x/../hooks/revoke", "/hooks%2frevoke", "/hooks%2Frevoke", "/hooks\\revoke", hook + "%00", hook + "#"} {
		f(request("POST", target, body, key), 400, 0)
	}
	// A front proxy that asks about the path asks about the application's, and takes nothing in.
	if res := g.get(authPath, append(about("POST", hook), key)...); res.StatusCode != 401 {
		t.Errorf("forward-auth: status %d", res.StatusCode)
	}
	if n := len(app.heads()); n != 0 {
		t.Errorf("the application was asked %d times", n)
	}
	if log := g.log.String(); strings.Contains(log, "Bearer") || strings.Contains(log, body+"\"") {
		t.Errorf("log:\n%s", log)
	}
}

// Without hooks, their path is the application's.
func TestNoHooks(t *testing.T) {
	app := answering(t, ok("app"))
	g := newGateway(t, app)
	if res := g.ask(request("POST", hook, "x", key)); res.StatusCode != 401 {
		t.Errorf("status %d", res.StatusCode)
	}
	if res := g.ask(request("POST", hook, "x", alice)); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

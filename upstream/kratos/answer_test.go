package kratos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

const (
	identityLine = "X-Kratos-Authenticated-Identity-Id: i1"
	cacheForLine = "Ory-Session-Cache-For: 300"
	// goodBody is the least that is believed.
	goodBody = `{"id":"s1","active":true,"identity":{"id":"i1"}}`
)

// padded returns goodBody made n bytes long.
func padded(n int) string { return goodBody + strings.Repeat(" ", n-len(goodBody)) }

// chunked returns a 200 whose body comes in two chunks.
func chunked(body string) string {
	half := len(body) / 2
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n",
		half, body[:half], len(body)-half, body[half:])
}

func TestSessionBelieves(t *testing.T) {
	f := func(raw string, want *upstream.Session) {
		t.Helper()
		_, client := newPeer(t, say(raw))
		got, err := client.Session(t.Context(), upstreamtest.Token("secret"))
		if err != nil {
			t.Errorf("Session failed: %v", err)
			return
		}
		if diff := cmp.Diff(want, got.Session, cmpopts.IgnoreUnexported(upstream.Session{})); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
	}
	session := func(body string) *upstream.Session {
		return &upstream.Session{ID: "s1", IdentityID: "i1", Body: []byte(body)}
	}
	f(response(200, goodBody), session(goodBody))
	f(response(200, goodBody, identityLine, "Content-Type: text/plain"), session(goodBody))
	f(chunked(goodBody), session(goodBody))
	f("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"+response(200, goodBody), session(goodBody))
	f(response(200, padded(64<<10)), session(padded(64<<10)))
	f(chunked(padded(64<<10)), session(padded(64<<10)))

	body := `{"id":"s1","active":true,"expires_at":"2026-11-23T11:02:03.79Z","authenticated_at":"2026-11-22T12:02:03+01:00",` +
		`"authenticator_assurance_level":"aal2","identity":{"id":"i1"}}`
	f(response(200, body), &upstream.Session{
		ID: "s1", IdentityID: "i1", AAL: upstream.AAL2, Body: []byte(body),
		ExpiresAt:       time.Date(2026, 11, 23, 11, 2, 3, 790_000_000, time.UTC),
		AuthenticatedAt: time.Date(2026, 11, 22, 11, 2, 3, 0, time.UTC),
	})
	// A level that is not known meets no requirement, and null is absent.
	body = `{"id":"s1","active":true,"expires_at":null,"authenticator_assurance_level":"aal9","identity":{"id":"i1"}}`
	f(response(200, body), session(body))
	// Of a repeated key the first counts, and letter case does: as for everybody else who reads the body.
	body = `{"id":"s1","ID":"s2","active":true,"active":false,"identity":{"id":"i1"},"identity":{"id":"i2"}}`
	f(response(200, body), session(body))
}

func TestSessionIsNotActive(t *testing.T) {
	_, client := newPeer(t, say(response(200, `{"id":"s1","active":false,"identity":{"id":"i1"}}`)))
	if _, err := client.Session(t.Context(), upstreamtest.Token("secret")); !errors.Is(err, upstream.ErrNoSession) {
		t.Errorf("error = %v, want ErrNoSession", err)
	}
}

// A 401 is a definite no whatever comes with it.
func TestSessionUnauthorized(t *testing.T) {
	f := func(answer func(net.Conn)) {
		t.Helper()
		_, client := newPeer(t, answer)
		if _, err := client.Session(t.Context(), upstreamtest.Token("secret")); !errors.Is(err, upstream.ErrNoSession) {
			t.Errorf("error = %v, want ErrNoSession", err)
		}
	}
	f(say(response(401, upstreamtest.NoSessionBody)))
	f(say(response(401, "", cacheForLine)))
	f(say(response(401, goodBody, identityLine)))
	f(sayAndClose("HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\n{"))
}

// Everything that is neither a session nor a definite no is an outage, which says what to look at and nothing that was secret.
func TestSessionOutage(t *testing.T) {
	f := func(want string, answer func(net.Conn)) {
		t.Helper()
		_, client := newPeer(t, answer)
		a, err := client.Session(t.Context(), upstreamtest.Cookie(cookieName, "secret"))
		if err == nil || a.Session != nil || upstream.Definite(err) {
			t.Errorf("answer %v, error %v, want an outage", a.Session, err)
			return
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error is %q, want it to say %q", err, want)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "whisper") {
			t.Errorf("error tells what is secret: %v", err)
		}
		if errors.Is(err, upstream.ErrNotSent) {
			t.Errorf("error says that the question was not sent: %v", err)
		}
	}
	const aal2 = upstreamtest.AAL2Body
	blames := func(want bool, status int) {
		t.Helper()
		_, client := newPeer(t, say(response(status, "<html>whisper</html>", "Content-Type: text/html")))
		if _, err := client.Session(t.Context(), upstreamtest.Cookie(cookieName, "secret")); errors.Is(err, upstream.ErrBadQuestion) != want {
			t.Errorf("status %d blames the question: %v, want %v", status, err, want)
		}
	}
	for _, status := range []int{400, 403, 406, 413, 414, 422, 431} {
		blames(true, status)
	}
	for _, status := range []int{302, 401, 404, 405, 408, 429, 500, 502, 503} { // of the address, or the service
		blames(false, status)
	}

	f("status 302: redirects are not followed", say(response(302, goodBody, "Location: /whisper")))
	f("status 307", say(response(307, goodBody, "Location: http://127.0.0.1:4433/whisper", identityLine)))
	f("status 201", say(response(201, goodBody, identityLine)))
	f("status 204", say("HTTP/1.1 204 No Content\r\n\r\n"))
	f("status 206", say(response(206, goodBody)))
	f("status 304", say("HTTP/1.1 304 Not Modified\r\n\r\n"))
	f("status 400", say(response(400, goodBody)))
	f("status 401: this is not the service's own", say(response(401, "<html>whisper</html>", "Content-Type: Text/HTML; charset=utf-8")))
	f("status 403: this is not the service's own", say(response(403, "<html>whisper</html>", "Content-Type: text/html")))
	f("status 403", say(response(403, `{"message":"whisper"}`)))
	f("status 403", say(response(403, `{"error":"whisper"}`)))
	f("status 403", say(response(403, aal2+"{}")))
	f("status 403", sayAndClose(strings.Replace(response(403, aal2), "\r\nContent-Length: 5", "\r\nContent-Length: 6", 1)))
	f("status 404: there is no /sessions/whoami", say(response(404, "404 page not found", "Set-Cookie: csrf=whisper")))
	f("status 407", say(response(407, aal2)))
	f("status 429: it is asked too often", say(response(429, aal2, "Retry-After: 1")))
	f("status 499", say(response(499, aal2)))
	f("status 500: look at its log", say(response(500, goodBody, identityLine, cacheForLine)))
	f("status 503", say(response(503, `{"error":"whisper"}`)))
	f("status 503", say("HTTP/1.1 503 Whatever\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"))
	f("status 101", say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: whisper\r\n\r\n"))

	f("status 200: body is not JSON", say(response(200, "")))
	f("body is not JSON", say(response(200, "<html>whisper</html>", "Content-Type: text/html")))
	f("body is not JSON", say(response(200, goodBody+goodBody)))
	f("body is not JSON", say(response(200, goodBody+" whisper")))
	f("body is not JSON", say(response(200, goodBody[:len(goodBody)-1])))
	f("body is not JSON", say(response(200, "\x1f\x8b\x08whisper", "Content-Encoding: gzip")))
	f("body is larger than 65536 bytes", say(response(200, padded(64<<10+1))))
	f("body is larger than 65536 bytes", say(chunked(padded(64<<10+1))))
	f("connection was closed", sayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+goodBody))
	f("connection was closed", sayAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"+goodBody))
	f("status 200: answer is not HTTP/1.1", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhisper\r\n"))

	f("body names no session", say(response(200, `{}`)))
	f("body names no session", say(response(200, `[`+goodBody+`]`)))
	f("body names no session", say(response(200, `"whisper"`)))
	f("body names no session", say(response(200, `{"id":"","active":true,"identity":{"id":"i1"}}`)))
	f("body names no session", say(response(200, `{"id":"s1","active":true,"identity":{"id":""}}`)))
	f("body names no session", say(response(200, `{"id":1,"active":true,"identity":{"id":"i1"}}`)))
	f("body names no session", say(response(200, `{"id":"s1","active":true,"identity":null}`)))
	f("body names no session", say(response(200, `{"id":"s1","active":true,"identity.id":"i1"}`)))
	f("body names no session", say(response(200, `{"id":"s1","active":false}`)))
	f("whether the session is active", say(response(200, `{"id":"s1","identity":{"id":"i1"}}`)))
	f("whether the session is active", say(response(200, `{"id":"s1","active":"true","identity":{"id":"i1"}}`)))
	f("whether the session is active", say(response(200, `{"id":"s1","ACTIVE":true,"identity":{"id":"i1"}}`)))
	f("different identities", say(response(200, goodBody, "X-Kratos-Authenticated-Identity-Id: i2")))
	for _, bad := range []string{`"whisper"`, `""`, `1795345210`, `true`, `"2026-11-23"`, `"0001-01-01T00:00:00Z"`} {
		f("expires_at is not a time", say(response(200, `{"expires_at":`+bad+`,`+goodBody[1:])))
		f("authenticated_at is not a time", say(response(200, `{"authenticated_at":`+bad+`,`+goodBody[1:])))
	}

	f("connection was closed", sayAndClose(""))
	f("connection was closed", sayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"))
	f("answer is not HTTP/1.1", say("SSH-2.0-whisper\r\n\r\n"))
	f("answer is not HTTP/1.1", say("HTTP/1.1 200 OK\r\nset-cookie whisper\r\n\r\n"))
	f("answer is not HTTP/1.1", say("HTTP/1.1 two whisper\r\n\r\n"))
	f("headers are larger than 32768 bytes", say(response(200, goodBody, "X-Whisper: "+strings.Repeat("x", 64<<10))))
}

func TestSessionRefusal(t *testing.T) {
	f := func(raw string, want upstream.Refusal) {
		t.Helper()
		_, client := newPeer(t, say(raw))
		_, err := client.Session(t.Context(), upstreamtest.Token("secret"))
		got, ok := errors.AsType[*upstream.Refusal](err)
		if !ok {
			t.Errorf("error = %v, want a refusal", err)
			return
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}
	}
	const body = `{"error":{"id":"session_aal2_required"}}`
	f(response(403, body, "Content-Type: application/problem+json", "Ory-Error-Id: other"),
		upstream.Refusal{Status: 403, ContentType: "application/problem+json", ErrorID: "other", Body: []byte(body)})
	f(response(403, body),
		upstream.Refusal{Status: 403, ContentType: "application/json", ErrorID: "session_aal2_required", Body: []byte(body)})
	// The id becomes part of error messages: what is no name is not one.
	const strange = `{"error":{"id":"look at\nthis"}}`
	f(response(403, strange, "Content-Type: text/\thtml"),
		upstream.Refusal{Status: 403, ContentType: "application/json", Body: []byte(strange)})
	f(response(403, `{"error":{}}`, "Ory-Error-Id: "+strings.Repeat("x", 65)),
		upstream.Refusal{Status: 403, ContentType: "application/json", Body: []byte(`{"error":{}}`)})
}

func TestBelieveFor(t *testing.T) {
	f := func(want time.Duration, lines ...string) {
		t.Helper()
		_, client := newPeer(t, say(response(200, goodBody, lines...)))
		a, err := client.Session(t.Context(), upstreamtest.Token("secret"))
		if err != nil || a.BelieveFor != want {
			t.Errorf("%q: BelieveFor = %v, error %v, want %v", lines, a.BelieveFor, err, want)
		}
	}
	f(upstream.Unlimited)
	f(upstream.Unlimited, "Cache-Control: private, no-cache, no-store, must-revalidate")
	f(300*time.Second, "Ory-Session-Cache-For: 300")
	f(0, "Ory-Session-Cache-For: 0")
	f(0, "Ory-Session-Cache-For: -1")
	f(0, "Ory-Session-Cache-For: +1")
	f(0, "Ory-Session-Cache-For: ")
	f(0, "Ory-Session-Cache-For: 5m")
	f(0, "Ory-Session-Cache-For: 1e3")
	f(0, "Ory-Session-Cache-For: 300, 300")
	f(0, "Ory-Session-Cache-For: 300", "Ory-Session-Cache-For: 300")
	f(upstream.Unlimited, "Cache-Control: private, no-cache, no-store, must-revalidate") // what Kratos says with every answer
	f(150*time.Second, "Cache-Control: private, max-age=150")
	f(150*time.Second, `Cache-Control: Max-Age="150"`, "Cache-Control: max-age=151")
	f(150*time.Second, "Cache-Control: max-age=150", "Ory-Session-Cache-For: 300")
	f(300*time.Second, "Cache-Control: max-age=600", "Ory-Session-Cache-For: 300")
	f(140*time.Second, "Cache-Control: max-age=150", "Age: 10")
	f(0, "Cache-Control: max-age=150", "Age: 151")
	f(0, "Cache-Control: max-age=150", "Age: a while")
	f(0, "Cache-Control: max-age=0")
	f(0, "Cache-Control: max-age")
	f(0, "Cache-Control: max-age=-1")
	f(upstream.Unlimited, "Cache-Control: s-maxage=1, x-max-age=1")
	f(0, "Ory-Session-Cache-For: 99999999999999999999")
	f(upstream.Unlimited, "Ory-Session-Cache-For: 9223372036854775807")
	f(9223372036*time.Second, "Ory-Session-Cache-For: 9223372036")
}

func TestRenewed(t *testing.T) {
	lines := []string{
		"Set-Cookie: csrf_token=1; Path=/",
		"Set-Cookie: ory_kratos_session=new; Path=/; HttpOnly",
		"Set-Cookie: ory_kratos_session2=1",
		"Set-Cookie: xory_kratos_session=1",
		"Set-Cookie: Ory_Kratos_Session=1",
		"Set-Cookie: ory_kratos_session",
		"Set-Cookie: =ory_kratos_session",
		"Set-Cookie: ory_kratos_session =1",
		"Set-Cookie: ory_kratos_session=a\tb",
		"Set-Cookie: ory_kratos_session=also; Path=/app",
	}
	f := func(c upstream.Credential, status int, want ...string) {
		t.Helper()
		_, client := newPeer(t, say(response(status, goodBody, lines...)))
		a, _ := client.Session(t.Context(), c)
		if diff := cmp.Diff(upstreamtest.SetCookie(want...), a.Renewed); diff != "" {
			t.Errorf("%v, status %d: renewed (-want +got):\n%s", c, status, diff)
		}
	}
	f(upstreamtest.Cookie("", "v"), 200, "ory_kratos_session=new; Path=/; HttpOnly", "ory_kratos_session=also; Path=/app")
	f(upstreamtest.Cookie("ory_kratos_session2", "v"), 200, "ory_kratos_session2=1")
	f(upstreamtest.Cookie("other", "v"), 200)
	f(upstreamtest.Token("v"), 200)
	f(upstreamtest.Bearer("v"), 200)
	f(upstreamtest.Cookie("", "v"), 401)
	f(upstreamtest.Cookie("", "v"), 500)
}

// However slowly an answer comes, nobody waits longer than he wants.
func TestDeadline(t *testing.T) {
	f := func(begin string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			_, client := newPeer(t, func(c net.Conn) {
				_, _ = io.WriteString(c, begin)
				for err := error(nil); err == nil; _, err = io.WriteString(c, " ") {
					time.Sleep(time.Second)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := client.Session(ctx, upstreamtest.Token("secret"))
			if !errors.Is(err, context.DeadlineExceeded) || upstream.Definite(err) || errors.Is(err, upstream.ErrNotSent) {
				t.Errorf("after %q: error = %v, want an outage by deadline", begin, err)
			}
			if took := time.Since(start); took != 10*time.Second+time.Millisecond {
				t.Errorf("after %q: gave up after %v", begin, took)
			}
		})
	}
	f("")
	f("HTTP/1.1 200 OK\r\n")
	f("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
	f("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + goodBody)
}

// FuzzSession feeds the client with whatever a service might say.
func FuzzSession(f *testing.F) {
	log.SetOutput(io.Discard) // where net/http quotes what it did not ask for
	f.Cleanup(func() { log.SetOutput(os.Stderr) })
	files, err := filepath.Glob("testdata/*.http")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, raw, _ := strings.Cut(string(data), "<<< RESPONSE\n")
		f.Add([]byte(raw))
	}
	f.Add([]byte(response(200, goodBody)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, client := newPeer(t, sayAndClose(string(raw)))
		f := func(c upstream.Credential) {
			a, err := client.Session(t.Context(), c)
			switch {
			case err == nil && (a.Session == nil || a.Session.ID == "" || a.Session.IdentityID == "" || a.BelieveFor < 0):
				t.Errorf("believed %+v", a)
			case err == nil && len(a.Session.Body) > 64<<10:
				t.Errorf("body has %d bytes", len(a.Session.Body))
			case err != nil && strings.Contains(err.Error(), "very-secret"):
				t.Errorf("error tells the credential: %v", err)
			}
		}
		f(upstreamtest.Token("very-secret"))
		f(upstreamtest.Cookie(cookieName, "very-secret"))
	})
}

// Where a refusal can be mended is told only if a browser can be led there.
func TestRefusalRedirect(t *testing.T) {
	f := func(to, want string) {
		t.Helper()
		_, client := newPeer(t, say(response(403, `{"error":{"id":"session_aal2_required"},"redirect_browser_to":`+strconv.Quote(to)+`}`)))
		_, err := client.Session(t.Context(), upstreamtest.Token("secret"))
		refusal, ok := errors.AsType[*upstream.Refusal](err)
		if !ok || refusal.Redirect != want {
			t.Errorf("%q: error %v, %+v", to, err, refusal)
		}
	}
	for _, to := range []string{"https://id.example.com/login?aal=aal2", "http://127.0.0.1:4433/self-service/login/browser"} {
		f(to, to)
	}
	for _, to := range []string{"", "/login", "//id.example.com/", "javascript:alert(1)", "https:///x", "https://a/#b", "https://a/ b", "https://a/\r\nb", "https://ä/"} {
		f(to, "")
	}
}

package kratos_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

func TestForwardPassesOn(t *testing.T) {
	f := func(c upstream.Credential, raw string, want upstream.Reply) {
		t.Helper()
		_, client := newPeer(t, say(raw))
		got, err := client.Forward(t.Context(), c, []byte("tokenize_as=jwt"))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v, reply (-want +got):\n%s", err, diff)
		}
	}
	lines := []string{
		identityLine, cacheForLine, "Content-Type: application/json", "Ory-Error-Id: ", "Connection: keep-alive", "Vary: Cookie",
		"Access-Control-Allow-Origin: *", "Set-Cookie: csrf=1", "Set-Cookie: ory_kratos_session=new; Path=/", "Server: x",
	}
	contentType := upstream.Field{Name: "Content-Type", Value: "application/json"}
	identity := upstream.Field{Name: "X-Kratos-Authenticated-Identity-Id", Value: "i1"}
	cookie := upstream.Field{Name: "Set-Cookie", Value: "ory_kratos_session=new; Path=/"}
	errorBody := `{"error":{"code":1}}`

	f(upstreamtest.Token("v"), response(200, goodBody, lines...),
		upstream.Reply{Status: 200, Header: []upstream.Field{contentType, identity}, Body: []byte(goodBody)})
	f(upstreamtest.Cookie(cookieName, "v"), response(200, goodBody, lines...),
		upstream.Reply{Status: 200, Header: []upstream.Field{contentType, identity, cookie}, Body: []byte(goodBody)})
	for _, status := range []int{400, 401, 403, 404} {
		f(upstreamtest.Cookie(cookieName, "v"), response(status, errorBody, lines...),
			upstream.Reply{Status: status, Header: []upstream.Field{contentType}, Body: []byte(errorBody)})
	}
	f(upstreamtest.Token("v"), response(403, errorBody, "Ory-Error-Id: session_aal2_required"),
		upstream.Reply{Status: 403, Header: []upstream.Field{{Name: "Ory-Error-Id", Value: "session_aal2_required"}}, Body: []byte(errorBody)})
	f(upstreamtest.Token("v"), response(401, ""), upstream.Reply{Status: 401, Body: []byte{}})
}

func TestForwardFails(t *testing.T) {
	f := func(answer func(net.Conn), wantDefinite bool) {
		t.Helper()
		_, client := newPeer(t, answer)
		reply, err := client.Forward(t.Context(), upstreamtest.Token("secret"), []byte("tokenize_as=secret"))
		if err == nil || upstream.Definite(err) != wantDefinite || reply.Status != 0 {
			t.Errorf("reply with status %d, error %v, want an error, definite: %v", reply.Status, err, wantDefinite)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("error tells what is secret: %v", err)
		}
	}
	for _, status := range []int{201, 204, 206, 302, 304, 405, 409, 429, 499, 500, 502, 503} {
		body := goodBody
		if status == 204 || status == 304 {
			body = ""
		}
		f(say(response(status, body, identityLine)), false)
	}
	f(say(response(200, "")), false)
	f(say(response(200, "<html>")), false)
	f(say(response(200, `{"active":true}`)), false)
	f(say(response(200, padded(64<<10+1))), false)
	f(say(response(200, goodBody, "X-Kratos-Authenticated-Identity-Id: i2")), false)
	f(say(response(400, "<html>")), false)
	f(say(response(403, "<html>")), false)
	f(say(response(404, "404 page not found")), false)
	f(sayAndClose(""), false)
	f(say(response(200, `{"id":"s1","active":false,"identity":{"id":"i1"}}`)), true)
	f(sayAndClose("HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000\r\n\r\n{"), true)
}

// TestForwardQuery tests that a query is passed on byte for byte, or not at all.
func TestForwardQuery(t *testing.T) {
	f := func(query string, wantTarget string) {
		t.Helper()
		peer, client := newPeer(t, say(response(200, goodBody)))
		reply, err := client.Forward(t.Context(), upstreamtest.Token("v"), []byte(query))
		if wantTarget == "" {
			refusal, ok := errors.AsType[*upstream.Refusal](err)
			if !ok || refusal.Status != 400 || !errors.Is(err, upstream.ErrNotSent) || len(peer.asked()) != 0 {
				t.Errorf("%q: error %v, asked %q, want a refusal with 400 without asking", query, err, peer.asked())
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{question(wantTarget, "X-Session-Token: v")}, peer.asked()); diff != "" || reply.Status != 200 {
			t.Errorf("%q: status %d; requests (-want +got):\n%s", query, reply.Status, diff)
		}
	}
	f("tokenize_as=jwt", "/sessions/whoami?tokenize_as=jwt")
	f("a=%0d%0a&&=;?/", "/sessions/whoami?a=%0d%0a&&=;?/")
	f(`"<>[]{}|\^`+"`", `/sessions/whoami?"<>[]{}|\^`+"`")
	f("", "/sessions/whoami")
	f(strings.Repeat("x", 8<<10), "/sessions/whoami?"+strings.Repeat("x", 8<<10))
	f(strings.Repeat("x", 8<<10+1), "")
	f("a HTTP/1.1\r\nX-Session-Token: b\r\n\r\n", "")
	f("a b", "")
	f("a\tb", "")
	f("a\x00", "")
	f("a#b", "")
	f("é", "")
}

func TestForwardCredential(t *testing.T) {
	peer, client := newPeer(t, say(response(200, goodBody)))
	for _, c := range []upstream.Credential{{}, upstreamtest.Token(""), upstreamtest.Bearer("a\r\nb")} {
		if _, err := client.Forward(t.Context(), c, []byte("tokenize_as=jwt")); !errors.Is(err, upstream.ErrNoSession) {
			t.Errorf("error = %v, want ErrNoSession", err)
		}
	}
	if len(peer.asked()) != 0 {
		t.Errorf("asked %q", peer.asked())
	}
}

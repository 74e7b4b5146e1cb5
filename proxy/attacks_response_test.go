package proxy_test

import (
	"fmt"
	"strings"
	"testing"
)

// An application that authenticates connections and not requests never gets somebody else's request on a connection that it may have
// authenticated (traefik 13902).
func TestAuthenticatedConnectionsAreNotShared(t *testing.T) {
	f := func(name string, shared bool, answer string, lines ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := answering(t, answer, ok("somebody else's"))
			g := newGateway(t, app)
			g.get("/public/x", lines...)
			g.get("/public/y")
			if conns := len(app.received()); conns == 1 != shared {
				t.Errorf("%d connections to the application", conns)
			}
		})
	}
	challenge := func(lines ...string) string {
		return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	f("NTLM", false, ok("hello"), "Authorization: NTLM TlRMTVNTUAABAAAA")
	f("Negotiate", false, ok("hello"), "Authorization: negotiate YIIJvwYG")
	f("NTLM, long body", false, ok(longBody), "Authorization: ntlm TlRMTVNTUAABAAAA")
	f("NTLM after another", false, ok("hello"), "Authorization: Basic YTpi", "Authorization: NTLM TlRMTVNTUAABAAAA")
	f("NTLM without a token", false, ok("hello"), "Authorization: NTLM")
	f("NTLM challenge", false, challenge("WWW-Authenticate: NTLM TlRMTVNTUAACAAAA"))
	f("Negotiate challenge among others", false, challenge(`WWW-Authenticate: Basic realm="a"`,
		`WWW-Authenticate: Digest realm="b", Negotiate`))
	f("Basic", true, ok("hello"), "Authorization: Basic YTpi")
	f("Basic challenge", true, challenge(`WWW-Authenticate: Basic realm="NTLM"`))
	f("nothing", true, ok("hello"))
}

// Bodies pass byte for byte, also where their syntax invites a server to write them anew.
func TestMultipartBodiesAreNotWrittenAnew(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app)
	body := "preamble\r\n--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n" +
		"content-disposition: form-data;name=f; filename=\"x\r\n\r\n\x00\xff\n--b--\r\nepilogue"
	for _, framing := range []string{"", "Transfer-Encoding: chunked"} {
		sent := request("POST", "/public/x", body, "Content-Type: multipart/form-data; boundary=b")
		if framing != "" {
			sent = request("POST", "/public/x", "",
				"Content-Type: multipart/form-data; boundary=b", framing) + chunks(body, 7) + "0\r\n\r\n"
		}
		if res := g.ask(sent); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
		if u := receive(t, uploads); u.body != body {
			t.Errorf("%q became %q", body, u.body)
		}
	}
}

// A redirect of the application is the client's to follow, and a long Set-Cookie fits.
func TestAnswersOfTheApplicationAreNotActedUpon(t *testing.T) {
	cookie := "a=" + strings.Repeat("x", 10<<10)
	app := answering(t, "HTTP/1.1 302 Found\r\nLocation: //evil.example.com/\r\nSet-Cookie: "+cookie+"\r\nContent-Length: 0\r\n\r\n")
	g := newGateway(t, app)
	res := g.get("/public/x")
	if res.StatusCode != 302 || res.Header.Get("Location") != "//evil.example.com/" || res.Header.Get("Set-Cookie") != cookie {
		t.Errorf("status %d head %.200v", res.StatusCode, res.Header)
	}
	if n := len(app.heads()); n != 1 {
		t.Errorf("%d requests reached the application", n)
	}
}

// After a response without a body, the next one on the same connections is complete: nothing is remembered of the last.
func TestBodiesAfterResponsesWithoutOne(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		for {
			head, complete := c.request()
			switch {
			case !complete:
				return
			case strings.HasPrefix(head, "HEAD"):
				c.write("HTTP/1.1 200 OK\r\nContent-Length: 81920\r\n\r\n")
			case strings.Contains(head, "/304"):
				c.write("HTTP/1.1 304 Not Modified\r\nContent-Length: 81920\r\n\r\n")
			case strings.Contains(head, "/204"):
				c.write("HTTP/1.1 204 No Content\r\n\r\n")
			default:
				c.write(ok(longBody))
			}
		}
	})
	c := newGateway(t, app, oneConn).dial()
	for i := range 12 {
		method, path := []string{"HEAD", "GET", "GET"}[i%3], []string{"/public/x", "/public/304", "/public/204"}[i%3]
		c.send(request(method, path, "") + request("GET", "/public/x", ""))
		if res := c.next(method); res.body != "" || res.err != nil {
			t.Errorf("%s %s: body of %d bytes, %v", method, path, len(res.body), res.err)
		}
		if res := c.next("GET"); res.body != longBody || res.err != nil {
			t.Errorf("after %s %s: body of %d bytes, %v", method, path, len(res.body), res.err)
		}
	}
	if n := len(app.received()); n != 1 {
		t.Errorf("%s to the application", fmt.Sprint(n, " connections"))
	}
}

package main

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// The user that all sessions are of.
const (
	userID    = "0b2f3c1e-7d1c-4a6b-9b52-0d7a2f1c9e11"
	userEmail = "alice@example.com"
	userName  = "Alice"
	sessionID = "3f1c9e11-7d1c-4a6b-9b52-0d7a2f1c0b2f"
)

// identity is what the session service of the others says of an allowed request.
var identity = [...][2]string{
	{"X-User-Id", userID},
	{"X-User-Email", userEmail},
	{"X-User-Name", userName},
	{"X-Session-Id", sessionID},
	{"X-Session-Aal", "aal1"},
}

// sessionTold is the same in 1.3 kB, as Gatehouse's session service tells it.
func sessionTold() []byte {
	return fmt.Appendf(nil, `{"id":%q,"active":true,"expires_at":"2026-11-23T12:00:00Z","authenticated_at":"2026-11-22T12:00:00Z",`+
		`"authenticator_assurance_level":"aal1",`+
		`"authentication_methods":[{"method":"password","aal":"aal1","completed_at":"2026-11-22T12:00:00Z"}],`+
		`"issued_at":"2026-11-22T12:00:00Z","identity":{"id":%q,"schema_id":"default","schema_url":"http://127.0.0.1/schemas/default",`+
		`"state":"active","traits":{"email":%q,"name":%q,"about":%q}},"devices":[]}`,
		sessionID, userID, userEmail, userName, aboutUser())
}

// aboutUser makes a session as long as one of Ory Kratos.
func aboutUser() string { return strings.Repeat("about ", 100) }

// serveApp is the application, and the session service of the others: a request for /check is allowed, and one for /session answered with
// it. It takes every read for one request, and does no more, since it shares its processor with the load.
func serveApp(address string) error {
	page := []byte("HTTP/1.1 200 OK\r\nDate: Sat, 22 Nov 2025 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Cache-Control: private, no-cache\r\nEtag: W/\"400-Zm9vYmFyYmF6\"\r\nVary: Accept-Encoding\r\nContent-Length: 1024\r\n\r\n" +
		strings.Repeat("The quick brown fox jumps over the lazy dog, again and again. \r\n", 16))
	allowed := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
	for _, f := range identity {
		allowed = append(allowed, f[0]+": "+f[1]+"\r\n"...)
	}
	allowed = append(allowed, "\r\n"...)
	told := sessionTold()
	told = append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(told)), told...)
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for request := make([]byte, 16<<10); ; {
				n, err := c.Read(request)
				if err != nil {
					return
				}
				answer := page
				switch {
				case bytes.HasPrefix(request[:n], []byte("GET /check ")):
					answer = allowed
				case bytes.HasPrefix(request[:n], []byte("GET /session ")):
					answer = told
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

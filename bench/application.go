package main

import (
	"bytes"
	"net"
	"strings"
)

// identity is what the session service of the others says of an allowed request.
var identity = [...][2]string{
	{"X-User-Id", "0b2f3c1e-7d1c-4a6b-9b52-0d7a2f1c9e11"},
	{"X-User-Email", "alice@example.com"},
	{"X-User-Name", "Alice"},
	{"X-Session-Id", "3f1c9e11-7d1c-4a6b-9b52-0d7a2f1c0b2f"},
	{"X-Session-Aal", "aal1"},
}

// serveApp is the application, and the session service of the others: a request for /check is allowed. It takes every read for one request,
// and does no more, since it shares its processor with the load.
func serveApp(address string) error {
	page := []byte("HTTP/1.1 200 OK\r\nDate: Sat, 22 Nov 2025 12:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n" +
		"Cache-Control: private, no-cache\r\nEtag: W/\"400-Zm9vYmFyYmF6\"\r\nVary: Accept-Encoding\r\nContent-Length: 1024\r\n\r\n" +
		strings.Repeat("The quick brown fox jumps over the lazy dog, again and again. \r\n", 16))
	allowed := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
	for _, f := range identity {
		allowed = append(allowed, f[0]+": "+f[1]+"\r\n"...)
	}
	allowed = append(allowed, "\r\n"...)
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
				if bytes.HasPrefix(request[:n], []byte("GET /check ")) {
					answer = allowed
				}
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

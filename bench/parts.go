package main

import (
	"bytes"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// The parts that this program plays in processes of their own. Each is given the address to listen at.
const (
	barePart    = "bare"
	forwardPart = "forward" // and the address of the application
	appPart     = "app"
)

// identity is what an allowed request brings.
var identity = [...][2]string{
	{"X-User-Id", "0b2f3c1e-7d1c-4a6b-9b52-0d7a2f1c9e11"},
	{"X-User-Email", "alice@example.com"},
	{"X-User-Name", "Alice"},
	{"X-Session-Id", "3f1c9e11-7d1c-4a6b-9b52-0d7a2f1c0b2f"},
	{"X-Session-Aal", "aal1"},
}

// fastServer returns a server of fasthttp with the settings of Gatehouse's.
func fastServer(handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		ReadBufferSize: 64 << 10, NoDefaultServerHeader: true, NoDefaultContentType: true,
	}
}

// serveBare answers every request with the headers of an allowed one.
func serveBare(address string) error {
	fields := [][2][]byte{{[]byte("Cache-Control"), []byte("no-store")}}
	for _, f := range identity {
		fields = append(fields, [2][]byte{[]byte(f[0]), []byte(f[1])})
	}
	return fastServer(func(ctx *fasthttp.RequestCtx) {
		for _, f := range fields {
			ctx.Response.Header.SetCanonical(f[0], f[1])
		}
	}).ListenAndServe(address)
}

// serveForward passes every request on to the application with the client of fasthttp, as it came.
func serveForward(address, app string) error {
	client := &fasthttp.HostClient{
		Addr: app, MaxConns: 1024, ReadTimeout: time.Minute, WriteTimeout: time.Minute, NoDefaultUserAgentHeader: true,
	}
	return fastServer(func(ctx *fasthttp.RequestCtx) {
		if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
			ctx.Error("application does not answer", fasthttp.StatusBadGateway)
		}
	}).ListenAndServe(address)
}

// serveApp is the application, and for nginx the session service too: a request for /check is allowed. It takes every read for one
// request, and does no more, since it shares its processor with the load.
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

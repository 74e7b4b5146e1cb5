package main

import "strings"

const browserLines = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\n" +
	"Accept-Encoding: gzip\r\nAccept-Language: en\r\n"

// question returns the bytes of a question as Traefik asks it.
func question(path, credential string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: auth.internal\r\n" + browserLines + credential + "\r\n" +
		"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Uri: /orders/2026?page=2\r\n\r\n")
}

// page returns the bytes of a request as a browser sends it.
func page(path, credential string) []byte {
	return []byte("GET " + path + "?page=2 HTTP/1.1\r\nHost: app.example.com\r\n" + browserLines + credential + "\r\n\r\n")
}

// once returns a request that asks for the connection to be closed, as nginx and HAProxy do when they ask whether another may pass.
func once(request []byte) []byte {
	return []byte(strings.Replace(string(request), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
}

// byToken and byCookie are the lines with the credentials of a session: 39 bytes, and 428.
func byToken(s *session) string { return "X-Session-Token: " + s.Token }

func byCookie(s *session) string { return "Cookie: " + s.Cookie.Name + "=" + s.Cookie.Value }

// questionAt returns what makes the question at a path.
func questionAt(path string, credential func(*session) string) func(*session) []byte {
	return func(s *session) []byte { return question(path, credential(s)) }
}

// pageAt returns what makes the request for a page.
func pageAt(path string, credential func(*session) string) func(*session) []byte {
	return func(s *session) []byte { return page(path, credential(s)) }
}

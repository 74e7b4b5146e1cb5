package proxy

import (
	"bytes"
	"strconv"
)

// browser reports whether a person sees the answer to a request as a page, so that leading elsewhere makes sense. It is told by what the
// request wants, and never by what the program calls itself. header returns the value of a header, or nothing.
//
// Browsers say it themselves: https://www.w3.org/TR/fetch-metadata/. Where they do not, somebody who prefers HTML is taken for one.
func browser(header func(name string) []byte) bool {
	if len(header("Upgrade")) > 0 || len(header("Sec-Websocket-Key")) > 0 || isGRPC(header("Content-Type")) {
		return false
	}
	if mode := header("Sec-Fetch-Mode"); len(mode) > 0 {
		return string(mode) == "navigate" && isPage(header("Sec-Fetch-Dest"))
	}
	return len(header("X-Requested-With")) == 0 && prefersHTML(header("Accept"))
}

// isPage reports whether a browser shows what it asks for as a page of its own, or within one.
func isPage(dest []byte) bool {
	switch string(dest) {
	case "", "document", "iframe", "frame", "fencedframe", "embed", "object":
		return true
	default:
		return false
	}
}

// isGRPC reports whether a content type is one of gRPC, gRPC-Web included.
func isGRPC(contentType []byte) bool {
	const grpc = "application/grpc"
	return len(contentType) >= len(grpc) && bytes.EqualFold(contentType[:len(grpc)], []byte(grpc))
}

// prefersHTML reports whether an Accept header names HTML, and JSON no sooner (RFC 9110 section 12.5.1). */* names nothing.
func prefersHTML(accept []byte) bool {
	var html, json float64
	for len(accept) > 0 {
		var item []byte
		item, accept, _ = bytes.Cut(accept, []byte(","))
		kind, parameters, _ := bytes.Cut(item, []byte(";"))
		kind = bytes.ToLower(trimBlanks(kind))
		switch {
		case string(kind) == "text/html", string(kind) == "application/xhtml+xml":
			html = max(html, weight(parameters))
		case string(kind) == "application/json", bytes.HasSuffix(kind, []byte("+json")):
			json = max(json, weight(parameters))
		}
	}
	return html > 0 && html >= json
}

// weight returns the q of the parameters of a media range. What cannot be read counts for nothing.
func weight(parameters []byte) float64 {
	for len(parameters) > 0 {
		var p []byte
		p, parameters, _ = bytes.Cut(parameters, []byte(";"))
		name, value, _ := bytes.Cut(trimBlanks(p), []byte("="))
		if !bytes.EqualFold(trimBlanks(name), []byte("q")) {
			continue
		}
		if q, err := strconv.ParseFloat(string(trimBlanks(value)), 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
		return 0
	}
	return 1
}

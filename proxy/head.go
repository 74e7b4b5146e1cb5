package proxy

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strconv"

	"github.com/valyala/fasthttp"
)

// A requestHead is what a request says before its body: read once, in one pass, for everybody who wants to know something of it. Asking fasthttp
// for each line by name costs more than the decision itself. Its bytes are borrowed from the request.
type requestHead struct {
	method, uri, protocol []byte // of the request line, as they came
	host                  []byte // as it came; empty if there is none
	length                int    // of the body; chunkedBody if only its end tells
	fields                []field

	// What decides about a request, of all its lines:
	connection, cookies, chain [][]byte // in order; chain is X-Forwarded-For
	token, authorization       []byte   // the first of each
	early                      bool     // it may be a replay of one that was sent before (RFC 8470 section 5.1)
	upgrade                    soleLine
	described                  [7]soleLine
	announced                  []byte // the length of the body as it is announced, whatever is made of it; nil if it is not
	hosts, lengths             int    // how many Host lines there are, and Content-Length lines
	encoded                    bool   // there is a Transfer-Encoding
	special                    bool   // there is a line that asks more of a server than an answer: Expect or Trailer
	count                      int    // of all lines

	// asked answers in place of fields when two servers could read the lines differently: it is nil in all other cases.
	asked *fasthttp.RequestHeader
}

// A field is a header line. Blanks around the value are no part of it.
type field struct{ name, value []byte }

// The lines in which a front proxy describes a request, by their place in head.described.
const (
	forwardedMethod = iota
	forwardedHost
	forwardedURI
	forwardedProto
	originalURL
	originalURI
	originalMethod
)

// describedNames are their names.
var describedNames = [...]string{
	"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Proto",
	"X-Original-URL", "X-Original-URI", "X-Original-Method",
}

const headerEarlyData = "Early-Data"

// A soleLine is a line that should be there once: the value of the last one, and how many there are.
type soleLine struct {
	value []byte
	count int
}

// once returns the value if the line is there exactly once and is not empty, and else nothing.
func (s *soleLine) once() ([]byte, bool) {
	if s.count != 1 || len(s.value) == 0 {
		return nil, false
	}
	return s.value, true
}

// headMemory is what a head keeps its lines in, to be used again.
type headMemory struct {
	fields                     []field
	connection, cookies, chain [][]byte
}

// reset makes h empty, which uses m from now on.
func (h *requestHead) reset(m *headMemory) {
	*h = requestHead{fields: m.fields[:0], connection: m.connection[:0], cookies: m.cookies[:0], chain: m.chain[:0]}
}

// keep lets m have what h has grown.
func (h *requestHead) keep(m *headMemory) {
	m.fields, m.connection, m.cookies, m.chain = h.fields[:0], h.connection[:0], h.cookies[:0], h.chain[:0]
}

// read reads what fasthttp has read as the head of a request. tokenHeader is the name of the session token header, or empty. It fails when
// two servers could read the head differently, although fasthttp reads it one way: lines that are folded or do not end in CRLF (RFC 9112
// sections 2.2 and 5.2), and any Transfer-Encoding but chunked, or beside a Content-Length (section 6.1). After a failure the lines are
// those that fasthttp has read.
func (h *requestHead) read(from *fasthttp.RequestHeader, tokenHeader string) error {
	h.method, h.uri, h.protocol, h.host, h.length = from.Method(), from.RequestURI(), from.Protocol(), from.Host(), from.ContentLength()
	err := h.scan(from.RawHeaders(), tokenHeader)
	if err == nil {
		if chunked := h.length == chunkedBody; h.encoded != chunked || h.encoded && h.announced != nil {
			err = errHeaders
		}
	}
	if err != nil {
		h.ask(from, tokenHeader)
	}
	return err
}

// scan notes all lines of raw, up to and with the blank line that ends them.
func (h *requestHead) scan(raw []byte, tokenHeader string) error {
	h.count = bytes.Count(raw, []byte("\n")) - 1 // the last is blank
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' || raw[0] == ' ' || raw[0] == '\t' {
			return errHeaders
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if colon := bytes.IndexByte(line, ':'); colon >= 0 {
			h.note(line[:colon], trimBlanks(line[colon+1:]), tokenHeader)
		} else if len(line) > 0 || len(raw) > 0 {
			return errHeaders
		}
	}
	return nil
}

// note takes in one line.
func (h *requestHead) note(name, value []byte, tokenHeader string) {
	h.fields = append(h.fields, field{name, value})
	switch len(name) {
	case len("Host"):
		if named(name, fasthttp.HeaderHost) {
			h.host = value
			h.hosts++
		}
	case len("Cookie"): // and Expect
		if named(name, fasthttp.HeaderCookie) {
			h.cookies = append(h.cookies, value)
		} else if named(name, fasthttp.HeaderExpect) {
			h.special = true
		}
	case len("Upgrade"): // and Trailer
		if named(name, fasthttp.HeaderUpgrade) {
			h.upgrade.value = value
			h.upgrade.count++
		} else if named(name, fasthttp.HeaderTrailer) {
			h.special = true
		}
	case len("Connection"): // and Early-Data
		if named(name, fasthttp.HeaderConnection) {
			h.connection = append(h.connection, value)
		} else if named(name, headerEarlyData) {
			h.early = true // whatever it says: invalid values mean the same
		}
	case len("Authorization"):
		if h.authorization == nil && named(name, fasthttp.HeaderAuthorization) {
			h.authorization = value
		}
	case len("Content-Length"): // and X-Original-URL, X-Original-URI
		if named(name, fasthttp.HeaderContentLength) {
			h.announced = value
			h.lengths++
		} else {
			h.describe(name, value)
		}
	case len("X-Forwarded-For"), len("X-Forwarded-Host"): // and X-Forwarded-Uri
		h.describe(name, value)
	case len("Transfer-Encoding"), len("X-Forwarded-Method"): // and X-Forwarded-Proto and X-Original-Method
		if named(name, fasthttp.HeaderTransferEncoding) {
			h.encoded = true
		} else {
			h.describe(name, value)
		}
	}
	if h.token == nil && len(name) == len(tokenHeader) && tokenHeader != "" && named(name, tokenHeader) {
		h.token = value
	}
}

// describe notes a line if it describes a request.
func (h *requestHead) describe(name, value []byte) {
	if name[0]|0x20 != 'x' {
		return
	}
	if named(name, fasthttp.HeaderXForwardedFor) {
		h.chain = append(h.chain, value)
		return
	}
	for i, describing := range describedNames {
		if named(name, describing) {
			h.described[i].value = value
			h.described[i].count++
			return
		}
	}
}

// ask takes from fasthttp what scan could not tell. What fasthttp gives out it takes back at the next question, so all of it is copied.
func (h *requestHead) ask(from *fasthttp.RequestHeader, tokenHeader string) {
	*h = requestHead{
		method: h.method, uri: h.uri, protocol: h.protocol, host: h.host, length: h.length, asked: from,
		connection: h.connection[:0], cookies: h.cookies[:0], chain: h.chain[:0], announced: h.announced, count: h.count,
	}
	h.connection = append(h.connection, from.PeekAll(fasthttp.HeaderConnection)...)
	h.cookies = append(h.cookies, from.PeekAll(fasthttp.HeaderCookie)...)
	if tokenHeader != "" {
		h.token = from.Peek(tokenHeader)
	}
	h.authorization = from.Peek(fasthttp.HeaderAuthorization)
	h.chain = append(h.chain, from.PeekAll(fasthttp.HeaderXForwardedFor)...)
	h.early = len(from.PeekAll(headerEarlyData)) > 0
	for i, name := range describedNames {
		for _, value := range from.PeekAll(name) {
			h.described[i].value = value
			h.described[i].count++
		}
	}
}

// all yields the values of all lines of a name, in order.
func (h *requestHead) all(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if h.asked != nil {
			for _, value := range h.asked.PeekAll(name) {
				if !yield(value) {
					return
				}
			}
			return
		}
		for _, f := range h.fields {
			if named(f.name, name) && !yield(f.value) {
				return
			}
		}
	}
}

// value returns the value of a line, or nothing. Of several lines it is the first.
func (h *requestHead) value(name string) []byte {
	for value := range h.all(name) {
		return value
	}
	return nil
}

// single returns the value of a line that is there exactly once and is not empty, and else nothing.
func (h *requestHead) single(name string) ([]byte, bool) {
	var line soleLine
	for value := range h.all(name) {
		line.value = value
		line.count++
	}
	return line.once()
}

// isHTTP11 reports whether the request is one of HTTP/1.1.
func (h *requestHead) isHTTP11() bool { return string(h.protocol) == "HTTP/1.1" }

// hasBody reports whether a body follows.
func (h *requestHead) hasBody() bool { return h.length > 0 || h.length == chunkedBody }

// is reports whether the request has a method.
func (h *requestHead) is(method string) bool { return string(h.method) == method }

// named reports whether name is want, in whatever case. want is of letters, digits and '-'; name has no control bytes.
func named(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := range len(want) {
		if name[i]|0x20 != want[i]|0x20 {
			return false
		}
	}
	return true
}

// onlyText reports whether b has no byte that a header value may not have (RFC 9110 section 5.5). It looks at eight at a time.
func onlyText(b []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		low := (w - 0x20*ones) &^ w & tops // a byte below 0x20
		del := w ^ 0x7f*ones
		if low|(del-ones)&^del&tops != 0 {
			break // which may be a tab
		}
	}
	for _, c := range b {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// parse reads the head of the request that b begins with, if it is plain to see: well-formed in every byte, as RFC 9112 has it and nobody
// reads it otherwise. It returns its size, which is 0 if there is more to come of it. A head that is not so is not ok, nor is one of more
// than most bytes.
func (h *requestHead) parse(b []byte, tokenHeader string, most int) (size int, ok bool) {
	more := func() (int, bool) { return 0, len(b) < most }
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return more()
	}
	if !h.parseRequestLine(b[:end]) {
		return 0, false
	}
	for at := end + 1; ; at += end + 1 {
		rest := b[at:]
		if end = bytes.IndexByte(rest, '\n'); end < 0 {
			return more()
		}
		if end == 1 && rest[0] == '\r' {
			size = at + len("\r\n")
			return size, size <= most
		}
		colon := bytes.IndexByte(rest[:end], ':')
		if colon < 1 || rest[end-1] != '\r' || !isToken(rest[:colon]) {
			return 0, false
		}
		value := trimBlanks(rest[colon+1 : end-1])
		if !onlyText(value) {
			return 0, false
		}
		h.count++
		h.note(rest[:colon], value, tokenHeader)
	}
}

// parseRequestLine reads a request line with its CR.
func (h *requestHead) parseRequestLine(line []byte) bool {
	const after = " HTTP/1.1\r"
	blank := bytes.IndexByte(line, ' ')
	if blank < 1 || len(line) < blank+len(" /")+len(after) || line[blank+1] != '/' || !isToken(line[:blank]) {
		return false
	}
	h.method, h.uri, h.protocol = line[:blank], line[blank+1:len(line)-len(after)], line[len(line)-len("HTTP/1.1\r"):len(line)-1]
	for _, c := range h.uri {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	version := line[len(line)-len(after):]
	return string(version) == after || string(version) == " HTTP/1.0\r"
}

// isPlain reports whether a request that could be parsed is one of HTTP/1.1 to one host, which asks for nothing but an answer: it has no
// body, and wants the connection to go on or to end. Of two lengths a server in front may have believed the other one (RFC 9112 section 6.3).
func (h *requestHead) isPlain() bool {
	if !h.isHTTP11() || h.hosts != 1 || h.lengths > 1 || h.encoded || h.special || h.upgrade.count > 0 {
		return false
	}
	if h.announced != nil && string(h.announced) != "0" {
		return false
	}
	switch len(h.connection) {
	case 0:
		return true
	case 1:
		return bytes.EqualFold(h.connection[0], []byte("keep-alive")) || bytes.EqualFold(h.connection[0], []byte("close"))
	default:
		return false
	}
}

// extent returns the extent of a request whose head could be parsed and has the size given, which is 0 if it could not. With a body that of
// HTTP/1.0 is not known, either: its answer may take the connection along while the body is still read, out of the lane's memory.
func (h *requestHead) extent(size int) extent {
	if size == 0 || h.lengths > 1 || h.encoded || h.upgrade.count > 0 || h.is("CONNECT") {
		return extent{}
	}
	if h.announced == nil {
		return extent{head: size}
	}
	n, err := strconv.ParseUint(string(h.announced), 10, 48)
	if err != nil || n > 0 && !h.isHTTP11() {
		return extent{}
	}
	return extent{size, int(n)}
}

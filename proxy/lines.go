package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// lines are the header lines of one request that decide about it, found in one pass: asking fasthttp for each by name costs more than
// the decision itself. Their bytes are borrowed from the request.
type lines struct {
	connection, cookies  [][]byte // in order
	token, authorization []byte   // the first of each
	early                bool     // it may be a replay of one that was sent before (RFC 8470 section 5.1)
	upgrade              soleLine
	described            [7]soleLine
	chain                [][]byte // of X-Forwarded-For, in order
	length               []byte   // of the body as it is announced, whatever is made of it; nil if it is not
	count                int      // of all lines
}

// The lines in which a front proxy describes a request, by their place in lines.described.
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

// once returns the value if the line is there exactly once and is not empty.
func (s *soleLine) once() ([]byte, bool) { return s.value, s.count == 1 && len(s.value) > 0 }

// read finds the lines in the head of a request as it came. tokenHeader is the name of the session token header, or empty. It fails when two
// servers could read the head differently, although fasthttp reads it one way: lines that are folded or do not end in CRLF (RFC 9112
// sections 2.2 and 5.2), and any Transfer-Encoding but chunked, or beside a Content-Length (section 6.1). After a failure the lines are
// those that fasthttp has read.
func (l *lines) read(h *fasthttp.RequestHeader, tokenHeader string) error {
	err := l.scan(h, tokenHeader)
	if err != nil {
		l.ask(h, tokenHeader)
	}
	return err
}

func (l *lines) scan(h *fasthttp.RequestHeader, tokenHeader string) error {
	encoded := false
	l.count = bytes.Count(h.RawHeaders(), []byte("\n")) - 1 // the last is blank
	for rest := h.RawHeaders(); len(rest) > 0; {
		line, next, _ := bytes.Cut(rest, []byte("\n"))
		rest = next
		if len(line) == 0 || line[len(line)-1] != '\r' || line[0] == ' ' || line[0] == '\t' {
			return errHeaders
		}
		switch line[0] | 0x20 {
		case 'a':
			if value, ok := fieldValue(line, fasthttp.HeaderAuthorization); ok && l.authorization == nil {
				l.authorization = value
			}
		case 'c':
			if value, ok := fieldValue(line, fasthttp.HeaderCookie); ok {
				l.cookies = append(l.cookies, value)
			} else if value, ok := fieldValue(line, fasthttp.HeaderConnection); ok {
				l.connection = append(l.connection, value)
			} else if value, ok := fieldValue(line, fasthttp.HeaderContentLength); ok {
				l.length = value
			}
		case 'e':
			if _, ok := fieldValue(line, headerEarlyData); ok {
				l.early = true // whatever it says: invalid values mean the same
			}
		case 't':
			if _, ok := fieldValue(line, fasthttp.HeaderTransferEncoding); ok {
				encoded = true
			}
		case 'u':
			if value, ok := fieldValue(line, fasthttp.HeaderUpgrade); ok {
				l.upgrade.value = value
				l.upgrade.count++
			}
		}
		if len(tokenHeader) > 0 && line[0]|0x20 == tokenHeader[0]|0x20 && l.token == nil {
			if value, ok := fieldValue(line, tokenHeader); ok {
				l.token = value
			}
		}
		if len(line) > len("x-original-") && line[0]|0x20 == 'x' && (line[2]|0x20 == 'f' || line[2]|0x20 == 'o') {
			l.describe(line)
		}
	}
	if chunked := h.ContentLength() == chunkedBody; encoded != chunked || encoded && l.length != nil {
		return errHeaders
	}
	return nil
}

// describe notes a line if it describes a request.
func (l *lines) describe(line []byte) {
	for i, name := range describedNames {
		if value, ok := fieldValue(line, name); ok {
			l.described[i].value = value
			l.described[i].count++
			return
		}
	}
	if value, ok := fieldValue(line, fasthttp.HeaderXForwardedFor); ok {
		l.chain = append(l.chain, value)
	}
}

// ask takes from fasthttp what scan could not tell. What fasthttp gives out it takes back at the next question, so all of it is copied.
func (l *lines) ask(h *fasthttp.RequestHeader, tokenHeader string) {
	*l = lines{connection: l.connection[:0], cookies: l.cookies[:0], chain: l.chain[:0], length: l.length, count: l.count}
	l.connection = append(l.connection, h.PeekAll(fasthttp.HeaderConnection)...)
	l.cookies = append(l.cookies, h.PeekAll(fasthttp.HeaderCookie)...)
	if tokenHeader != "" {
		l.token = h.Peek(tokenHeader)
	}
	l.authorization = h.Peek(fasthttp.HeaderAuthorization)
	l.chain = append(l.chain, h.PeekAll(fasthttp.HeaderXForwardedFor)...)
	l.early = len(h.PeekAll(headerEarlyData)) > 0
	for i, name := range describedNames {
		for _, value := range h.PeekAll(name) {
			l.described[i].value = value
			l.described[i].count++
		}
	}
}

// fieldValue returns the value of a header line that ends in CR if it begins with name, in whatever case, and a colon.
func fieldValue(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' {
		return nil, false
	}
	for i := range len(name) {
		if line[i]|0x20 != name[i]|0x20 { // names are of letters and '-', which the bit does not change into one another
			return nil, false
		}
	}
	return trimBlanks(line[len(name)+1 : len(line)-1]), true
}

package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// websocket is the one protocol that clients may switch to. Others, such as h2c, would carry requests that nobody judges (RFC 9931).
var websocket = []byte("websocket")

// errBadSwitch says that an application answered a WebSocket handshake with a 101 that opens no WebSocket.
var errBadSwitch = errors.New("application switched to something other than the WebSocket that was asked for")

// isHandshake reports whether the request asks for a WebSocket (RFC 6455 section 4.1). What only resembles a handshake is an ordinary
// request, from which Upgrade is stripped.
func (r *request) isHandshake() bool {
	h := &r.head
	protocol, ok := h.upgrade.once()
	if !ok || !bytes.EqualFold(protocol, websocket) || !listedIn(h.connection, []byte("upgrade")) {
		return false
	}
	if !h.is("GET") || !h.isHTTP11() || h.hasBody() || r.headErr != nil || r.cfg.Tunnels.Max == 0 {
		return false
	}
	_, key := h.single("Sec-WebSocket-Key")
	_, version := h.single("Sec-WebSocket-Version")
	return key && version
}

// spelled returns a name as RFC 6455 spells it, if it has it: some servers know no other spelling, and fasthttp writes Sec-Websocket-Key.
func spelled(name []byte) []byte {
	if rest, ok := bytes.CutPrefix(name, []byte("Sec-Websocket-")); ok {
		return append([]byte("Sec-WebSocket-"), rest...)
	}
	return name
}

// upgrade sends a WebSocket handshake by a connection of its own, which is never pooled. If the application switches, upgrade returns the
// connection, which is the caller's from then on, and the head of the answer up to its blank line. If it does not, and there is no error,
// its answer is the response of r.
func (a *App) upgrade(ctx context.Context, r *request, head []byte) (_ *appConn, answer []byte, err error) {
	c, _, err := a.get(ctx, r.conn, true, nil)
	if err != nil {
		return nil, nil, err
	}
	c.sole = true
	kept := false
	defer func() {
		if !kept {
			a.drop(c)
		}
	}()
	message := append(head, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"...)
	if err = a.send(c, message, nil); err == nil {
		err = c.readHead(&r.ctx.Response.Header, func() { r.relay(c) })
	}
	if err == nil {
		kept = true
		a.receive(r, c, nil)
		r.conn.unread.Store(true) // frames that the client may have sent behind its handshake
		return nil, nil, nil
	}
	if !errors.Is(err, errSwitched) {
		return nil, nil, err
	}
	if answer, err = readSwitch(c.r); err != nil {
		return nil, nil, err
	}
	if err = c.SetDeadline(time.Time{}); err != nil {
		return nil, nil, fmt.Errorf("set deadline of connection to application: %w", err)
	}
	kept = true
	a.release()
	return c, answer, nil
}

// readSwitch reads the head of a 101 and returns what of it is for the client, without the blank line, so that more lines can be added. It
// fails unless the head opens a WebSocket. The client compares Sec-WebSocket-Accept with its key itself.
func readSwitch(r *bufio.Reader) ([]byte, error) {
	lines, err := readLines(r)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 || !bytes.HasPrefix(lines[0], []byte("HTTP/1.1 101 ")) && string(lines[0]) != "HTTP/1.1 101\r" {
		return nil, errBadSwitch
	}
	var connection [][]byte
	upgrades := 0
	for _, line := range lines[1:] {
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || !isToken(name) {
			return nil, errBadHead
		}
		switch value := trimBlanks(value[:len(value)-1]); { // without its CR
		case named(name, fasthttp.HeaderConnection):
			connection = append(connection, value)
		case named(name, fasthttp.HeaderUpgrade):
			if upgrades++; !bytes.EqualFold(value, websocket) {
				return nil, errBadSwitch
			}
		}
	}
	if upgrades != 1 || !listedIn(connection, []byte("upgrade")) {
		return nil, errBadSwitch
	}
	answer := append(bytes.Clone(lines[0]), "\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	for _, line := range lines[1:] {
		if name, _, _ := bytes.Cut(line, []byte(":")); !staysHere(name) && !listedIn(connection, name) {
			answer = append(append(answer, line...), '\n')
		}
	}
	return answer, nil
}

// readLines reads a head, and returns its lines with their CR but without their LF. The blank line is not one of them.
func readLines(r *bufio.Reader) (lines [][]byte, err error) {
	var head []byte
	for len(head) <= appBuffer {
		line, err := r.ReadSlice('\n')
		switch {
		case isTimeout(err):
			return nil, fmt.Errorf("read response of application: %w", os.ErrDeadlineExceeded)
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, errLargeHead
		case err != nil || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.IndexFunc(line[:len(line)-2], isControl) >= 0:
			return nil, errBadHead
		case len(line) > len("\r\n"):
			head = append(head, line...)
			continue
		}
		lines = bytes.Split(head, []byte("\n"))
		return lines[:len(lines)-1], nil // nothing is behind the last LF
	}
	return nil, errLargeHead
}

// isControl reports whether a character has no place in a header line (RFC 9110 section 5.5).
func isControl(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7f }

// staysHere reports whether a line of a 101 is between the application and the gateway, which has written its own, or forged.
func staysHere(name []byte) bool {
	for _, own := range [...]string{
		fasthttp.HeaderUpgrade, fasthttp.HeaderConnection, "Keep-Alive", "Proxy-Connection", fasthttp.HeaderProxyAuthenticate, fasthttp.HeaderTE,
		fasthttp.HeaderTrailer, fasthttp.HeaderTransferEncoding, fasthttp.HeaderContentLength,
	} {
		if bytes.EqualFold(name, []byte(own)) {
			return true
		}
	}
	return isOursToSay(name)
}

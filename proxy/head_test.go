package proxy

import (
	"bufio"
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"
)

// FuzzLines holds that what is found in a head by one pass is what fasthttp finds by name, for every head that has one reading.
func FuzzLines(f *testing.F) {
	f.Add([]byte("X-Session-Token: a\r\nx-session-token: b\r\nCookie: s=1\r\ncookie:s=2 \r\nAuthorization: Bearer t\r\nauthorization: x\r\n"))
	f.Add([]byte("X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /a\r\nX-FORWARDED-URI: /b\r\nX-Forwarded-Host:\r\nX-Forwarded-Proto: \t https\r\n"))
	f.Add([]byte("X-Session-Token:\r\nX-Session-Token: late\r\nX_Session_Token: a\r\nX-Session-Tokens: b\r\nAuthorization:\r\n"))
	f.Add([]byte("Cookie: a=\xc2\xa0\r\nX-Session-Token: \xc2\x85t\xc2\xa0\r\nX\rSession-Token: a\r\n"))
	f.Add([]byte("Cookie: a\r\n b\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		sent := slices.Concat([]byte("GET / HTTP/1.1\r\nHost: a\r\n"), rest, []byte("\r\n"))
		var h fasthttp.RequestHeader
		in := bufio.NewReaderSize(bytes.NewReader(sent), len(sent)+1)
		if h.Read(in) != nil || in.Buffered() > 0 {
			return
		}
		var found, asked requestHead
		if found.read(&h, "X-Session-Token") != nil {
			return
		}
		asked.ask(&h, "X-Session-Token")
		found.connection, asked.connection = nil, nil // fasthttp keeps some of these to itself
		text := func(l requestHead) (out []string) {
			for _, c := range l.cookies {
				out = append(out, "cookie "+string(c))
			}
			out = append(out, "token "+string(l.token), "authorization "+string(l.authorization))
			for i, s := range l.described {
				out = append(out, describedNames[i]+" "+string(s.value)+string(rune('0'+s.count%10)))
			}
			return out
		}
		if diff := cmp.Diff(text(asked), text(found)); diff != "" {
			t.Errorf("%q (-by name +in one pass):\n%s", sent, diff)
		}
	})
}

package hostile

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// A Judge is the log of a gateway, and keeps by what the requests were judged that passed. The gateway must write an access log.
type Judge struct {
	mu   sync.Mutex
	list []Judgement
}

// Take returns what was kept since it was last called.
func (j *Judge) Take() []Judgement {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := j.list
	j.list = nil
	return list
}

// Enabled reports that every record is wanted.
func (j *Judge) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs returns j.
func (j *Judge) WithAttrs([]slog.Attr) slog.Handler { return j }

// WithGroup returns j.
func (j *Judge) WithGroup(string) slog.Handler { return j }

// Handle keeps what the line of a request that passed says.
func (j *Judge) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		return true
	})
	if r.Message == "request" && attrs["verdict"] == "allowed" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.list = append(j.list, Judgement{Host: strings.Trim(attrs["host"], "[]"), Path: attrs["path"]})
	}
	return nil
}

// Send sends exact bytes to a server on a connection of their own, ends its side of it, and returns all that comes back. It fails when
// the server does not end the connection within patience.
func Send(addr string, sent []byte, patience time.Duration) ([]byte, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, _ = nc.Write(sent) // the answer, and the end, may come before all of it is sent
	_ = nc.(*net.TCPConn).CloseWrite()
	received, err := io.ReadAll(nc)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return received, err
	}
	return received, nil
}

package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// ready answers 200 or 503 by Config.Ready alone. With ?verbose it tells of the checks too.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	var text strings.Builder
	if r.URL.Query().Has("verbose") {
		s.check(r.Context(), &text)
	}
	status := http.StatusOK
	if err := s.cfg.Ready(); err != nil {
		status = http.StatusServiceUnavailable
		fmt.Fprintf(&text, "not ready: %v\n", err)
	} else {
		text.WriteString("ok\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text.String())
}

// check writes a line for every check.
func (s *Server) check(ctx context.Context, text *strings.Builder) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, c := range s.cfg.Checks {
		if err := c.Run(ctx); err != nil {
			fmt.Fprintf(text, "[-] %s: %v (readiness does not depend on it)\n", c.Name, err)
		} else {
			fmt.Fprintf(text, "[+] %s: ok\n", c.Name)
		}
	}
}

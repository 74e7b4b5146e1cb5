package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// exitRefused is the exit code of decide when the request may not pass.
const exitRefused = 3

// errRefused says that a request may not pass. What there is to say about it has been said already.
var errRefused = errors.New("refused")

// maxInput is how much is read from a file or standard input.
const maxInput = 1 << 20

// decide says what would be decided about a request.
func decide(c *call) error {
	file := configFlag(c)
	method := c.flags.String("method", "GET", "`METHOD` of the request")
	url := c.flags.String("url", "", "`URL` of the request, such as https://app.example.com/admin; required")
	session := c.flags.String("session", "", "`FILE` with the session that it has, as Kratos answers at /sessions/whoami; - is standard input")
	token := c.flags.String("token", "", "`TOKEN` that it presents; - is standard input, too")
	cookie := c.flags.String("cookie", "", "`VALUE` of the session cookie that it presents; - reads it from standard input, where other users cannot see it")
	asJSON := c.flags.Bool("json", false, "print as JSON")
	if _, err := c.parse(0); err != nil {
		return err
	}
	q, err := question(*method, *url, *session, *token, *cookie)
	if err != nil {
		return err
	}
	cfg, err := c.load(*file)
	if err != nil {
		return err
	}
	v := readVersion()
	r, err := app.Decide(c.ctx, cfg, metrics.BuildInfo{Version: v.Version, Revision: v.Revision}, q)
	if err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	if *asJSON {
		out := json.NewEncoder(c.stdout)
		out.SetEscapeHTML(false)
		err = out.Encode(r)
	} else {
		err = printRuling(c.stdout, r)
	}
	switch {
	case err != nil:
		return err
	case r.Unknown:
		return errors.New("whether it may pass cannot be known")
	case r.Verdict != "allowed" && r.Verdict != "":
		return errRefused
	default:
		return nil
	}
}

// question reads what is asked from the flags.
func question(method, url, session, token, cookie string) (q app.Question, err error) {
	given := 0
	for _, flag := range []string{session, token, cookie} {
		if flag != "" {
			given++
		}
	}
	switch {
	case !strings.Contains(url, "://"):
		return q, usageError{errors.New("--url must be an absolute URL, such as https://app.example.com/admin")}
	case given > 1:
		return q, usageError{errors.New("a request has one session: want --session, --token or --cookie")}
	}
	q = app.Question{Method: method, URL: url}
	switch {
	case session != "":
		q.Statement, err = input(session)
	case token != "":
		q.Kind, q.Value = upstream.SessionToken, []byte(token)
	case cookie != "":
		q.Kind, q.Value = upstream.Cookie, []byte(cookie)
	}
	if string(q.Value) == "-" {
		q.Value, err = input("-")
		q.Value = bytes.TrimSpace(q.Value)
	}
	return q, err
}

// input reads a file, or standard input.
func input(name string) ([]byte, error) {
	in := os.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput))
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	return data, nil
}

// printRuling prints a ruling for people.
func printRuling(w io.Writer, r *app.Ruling) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Verdict == "" {
		fmt.Fprintf(out, "face\t%s: Gatehouse answers this path itself, and no route decides about it\n", r.Face)
		return out.Flush()
	}
	if r.Route == nil {
		fmt.Fprintf(out, "route\tnone\n")
	} else {
		place := fmt.Sprintf("routes[%d], ", r.Route.Index)
		if place == r.Route.Name+", " { // it has no other name
			place = ""
		}
		fmt.Fprintf(out, "route\t%s (%saccess: %s)\n", r.Route.Name, place, r.Route.Access)
	}
	fmt.Fprintf(out, "verdict\t%s\nreason\t%s\n", r.Verdict, r.Reason)
	if r.Detail != "" {
		fmt.Fprintf(out, "detail\t%s\n", r.Detail)
	}
	if s := r.Session; s != nil {
		fmt.Fprintf(out, "session\t%s of %s, %s", s.ID, s.Identity, s.AAL)
		fmt.Fprintf(out, "%s%s\n", when(", authenticated at ", s.AuthenticatedAt), when(", ends at ", s.ExpiresAt))
	}
	for _, h := range r.Headers {
		if h.Value != "" {
			fmt.Fprintf(out, "header\t%s: %s\n", h.Name, h.Value)
		}
	}
	return out.Flush()
}

func when(what string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return what + t.UTC().Format(time.RFC3339)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A remembered is what a gateway says that it remembers of one credential.
type remembered struct {
	Upstream        string    `json:"upstream"` // empty if there is only one
	SessionID       string    `json:"session_id"`
	IdentityID      string    `json:"identity_id"`
	AAL             string    `json:"aal"`
	AuthenticatedAt time.Time `json:"authenticated_at"`
	ExpiresAt       time.Time `json:"expires_at"`
	Credential      string    `json:"credential"`
	Table           string    `json:"table"`
	State           string    `json:"state"`
	AgeSeconds      float64   `json:"age_seconds"`
}

func (r *remembered) age() string {
	return time.Duration(r.AgeSeconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// listSessions lists what a running gateway remembers.
func listSessions(c *call) error {
	admin := adminFlags(c)
	identity := c.flags.String("identity", "", "list the sessions of the identity with this `ID` only")
	service := upstreamFlag(c)
	limit := c.flags.Int("limit", 100, "list at most this `NUMBER`, up to 10000")
	asJSON := c.flags.Bool("json", false, "print as JSON")
	if _, err := c.parse(0); err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(*limit)}}
	if *identity != "" {
		query.Set("identity_id", *identity)
	}
	if *service != "" {
		query.Set("upstream", *service)
	}
	body, err := admin.do(c, http.MethodGet, "/-/sessions?"+query.Encode(), nil)
	if err != nil || *asJSON {
		return printed(c, body, err)
	}
	list, more, err := readSessions(body)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	several := len(list) > 0 && list[0].Upstream != ""
	if several {
		fmt.Fprint(out, "UPSTREAM\t")
	}
	fmt.Fprint(out, "SESSION\tIDENTITY\tAAL\tSTATE\tAGE\tEXPIRES\tTABLE\tCREDENTIAL\n")
	for _, r := range list {
		if several {
			fmt.Fprint(out, r.Upstream, "\t")
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.SessionID, r.IdentityID, r.AAL, r.State, r.age(), orNever(r.ExpiresAt), r.Table, r.Credential)
	}
	if more {
		fmt.Fprintf(c.stderr, "gatehouse: there are more than %d: raise --limit, or name an --identity\n", *limit)
	}
	return out.Flush()
}

// showSession shows what a running gateway remembers of one session.
func showSession(c *call) error {
	admin := adminFlags(c)
	service := upstreamFlag(c)
	asJSON := c.flags.Bool("json", false, "print as JSON")
	args, err := c.parse(1)
	if err != nil {
		return err
	}
	if len(args) == 0 || args[0] == "" {
		return usageError{errors.New("want the id of a session")}
	}
	query := url.Values{"session_id": args, "limit": {"10000"}}
	if *service != "" {
		query.Set("upstream", *service)
	}
	body, err := admin.do(c, http.MethodGet, "/-/sessions?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	list, _, err := readSessions(body)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return hinted{errors.New("nothing is remembered of this session"), "the session service may know it all the same"}
	}
	if *asJSON {
		return printed(c, body, nil)
	}
	out := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for i, r := range list {
		if i == 0 || r.Upstream != list[i-1].Upstream {
			r.describe(out)
		}
		fmt.Fprintf(out, "credential\t%s, %s, asked %s ago, in table %s\n", r.Credential, r.State, r.age(), r.Table)
	}
	return out.Flush()
}

// describe prints what is the same for all credentials of a session.
func (r *remembered) describe(out io.Writer) {
	if r.Upstream != "" {
		fmt.Fprintf(out, "upstream\t%s\n", r.Upstream)
	}
	fmt.Fprintf(out, "session\t%s\nidentity\t%s\naal\t%s\nexpires\t%s\n", r.SessionID, r.IdentityID, r.AAL, orNever(r.ExpiresAt))
	if !r.AuthenticatedAt.IsZero() {
		fmt.Fprintf(out, "authenticated\t%s\n", r.AuthenticatedAt.UTC().Format(time.RFC3339))
	}
}

// upstreamFlag declares --upstream.
func upstreamFlag(c *call) *string {
	return c.flags.String("upstream", "", "only what is of the session service of this `NAME` in upstreams; default all")
}

// revokeSessions makes a running gateway forget sessions.
func revokeSessions(c *call) error {
	admin := adminFlags(c)
	service := upstreamFlag(c)
	identity := c.flags.String("identity", "", "forget all sessions of the identity with this `ID`")
	credential := c.flags.String("credential", "", "forget one token or cookie: `-`, and its value on standard input")
	kind := c.flags.String("kind", "", "with --credential: the `KIND`, session_token, session_cookie, cookie, query or bearer; default any")
	all := c.flags.Bool("all", false, "forget every session")
	args, err := c.parse(1)
	if err != nil {
		return err
	}
	fields := url.Values{}
	if len(args) == 1 {
		fields.Set("session_id", args[0])
	}
	if *identity != "" {
		fields.Set("identity_id", *identity)
	}
	if *credential != "" {
		if *credential != "-" {
			return usageError{errors.New("want --credential - and the value on standard input: others can read a command line")}
		}
		value, err := input("-")
		if err != nil {
			return err
		}
		fields.Set("credential", strings.TrimSpace(string(value)))
	}
	path := "/-/revoke"
	switch {
	case *all && len(fields) == 0 && *kind == "" && *service == "":
		path = "/-/flush"
	case *all || len(fields) != 1 || *kind != "" && *credential == "":
		return usageError{errors.New("want exactly one of a session's id, --identity, --credential, and --all without --upstream")}
	case *kind != "":
		fields.Set("kind", *kind)
	}
	if *service != "" {
		fields.Set("upstream", *service)
	}
	if _, err := admin.do(c, http.MethodPost, path, fields); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, "revoked: if anything was remembered here, it is forgotten, and the session service is asked anew")
	return err
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func printed(c *call, body []byte, err error) error {
	if err == nil {
		_, err = c.stdout.Write(body)
	}
	return err
}

func readSessions(body []byte) (list []remembered, more bool, err error) {
	var answer struct {
		Sessions []remembered
		More     bool
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, false, errors.New("read answer of the gateway: it is no list of sessions: is that its admin listener?")
	}
	return answer.Sessions, answer.More, nil
}

// An adminClient asks the admin listener that the flags name.
type adminClient struct{ config, address *string }

// adminFlags declares --config and --admin.
func adminFlags(c *call) adminClient {
	return adminClient{configFlag(c), c.flags.String("admin", "", "`ADDRESS` of the admin listener; default admin in the configuration")}
}

const (
	adminTimeout = 30 * time.Second
	maxAnswer    = 16 << 20 // holds the longest list
)

// do sends a request with a form as its body, and returns the body of the answer if its status is 200.
func (a adminClient) do(c *call, method, path string, fields url.Values) ([]byte, error) {
	address := *a.address
	if address == "" {
		cfg, err := c.load(*a.config)
		if err != nil {
			return nil, err
		}
		address = cfg.Admin
	}
	base, err := adminURL(address)
	if err != nil && *a.address != "" {
		return nil, usageError{errors.New("--admin: want host:port, such as 127.0.0.1:9090")}
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, hinted{fmt.Errorf("ask the gateway: %w", err), "is the gateway running, and is that its admin listener?"}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer of the gateway: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway refused: %s", strings.TrimSpace(string(body)))
	}
	return body, nil
}

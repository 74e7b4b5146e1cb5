// Command gatehouse is a reverse-proxy authentication gateway: it stands in front of applications, asks a session service whose request
// it is, and remembers the answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/parts"
)

// Exit codes. They are part of the command's interface.
const (
	exitOK      = 0
	exitFailed  = 1  // it ran, and failed
	exitUsage   = 2  // it was called wrongly
	exitConfig  = 78 // its configuration is wrong (EX_CONFIG of sysexits.h); a supervisor need not try again
	defaultFile = "/etc/gatehouse/config.yaml"
)

func main() {
	log.SetOutput(io.Discard) // net/http writes there what services sent unasked, which may hold anything
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// A command is one subcommand. Its run function declares flags on the set that it is given and then parses the arguments.
type command struct {
	name    string // may be two words
	args    string // after the name, for the usage line
	summary string
	run     func(c *call) error
}

var commands = []command{
	{"serve", "[--config FILE]", "run the gateway", serve},
	{"demo", "[--listen ADDRESS]", "run a gateway, a session service and an example application to play with", runDemo},
	{"config validate", "[--quiet] [FILE]", "check a configuration, and say everything that is wrong with it", validateConfig},
	{"config print", "[FILE]", "print the configuration that is in force, secrets hidden", printConfig},
	{"decide", "--url URL [FLAGS]", "say what would be decided about a request, and why", decide},
	{"doctor", "URL [FLAGS]", "attack a deployment of your own from outside, and say what to mend", runDoctor},
	{"sessions list", "[--identity ID] [--limit NUMBER]", "list the sessions that a running gateway remembers", listSessions},
	{"sessions show", "SESSION", "show what a running gateway remembers of a session", showSession},
	{"sessions revoke", "[SESSION] [FLAGS]", "make a running gateway forget a session, an identity, a credential or all", revokeSessions},
	{"healthcheck", "[--config FILE]", "ask a running gateway whether it is ready; for container health checks", healthcheck},
	{"version", "[--json]", "print the version", printVersion},
}

// A call is one run of a command.
type call struct {
	ctx     context.Context // ends at the first SIGINT or SIGTERM
	flags   *flag.FlagSet
	args    []string
	environ []string
	stdout  io.Writer
	stderr  io.Writer
}

// parse parses the flags and returns the other arguments, of which there may be at most most, before, between or after the flags.
func (c *call) parse(most int) (others []string, err error) {
	for rest := c.args; ; rest = c.flags.Args()[1:] {
		if err := c.flags.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, usageError{err}
			}
			return nil, hinted{usageError{asTyped(err, rest)}, c.flags.Name() + " --help lists the flags"}
		}
		if c.flags.NArg() == 0 {
			return others, nil
		}
		if len(others) == most {
			return nil, c.unexpected(c.flags.Arg(0))
		}
		others = append(others, c.flags.Arg(0))
	}
}

// unexpected is the error about an argument that is one too many.
func (c *call) unexpected(arg string) error {
	err := usageError{fmt.Errorf("unexpected argument %q", arg)}
	if isFile := strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml"); isFile && c.flags.Lookup("config") != nil {
		return hinted{err, "name the file with --config FILE"}
	}
	return err
}

// asTyped returns the error of [flag.FlagSet.Parse] with the name of the flag as it is in args: the package writes all with one dash.
func asTyped(err error, args []string) error {
	text := err.Error()
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); strings.HasPrefix(name, "--") {
			if before, ok := strings.CutSuffix(text, ": "+name[1:]); ok {
				text = before + ": " + name
			}
			text = strings.Replace(text, " for flag "+name[1:]+":", " for flag "+name+":", 1)
		}
	}
	return errors.New(text)
}

// getenv returns the value of an environment variable.
func (c *call) getenv(name string) string {
	for _, v := range slices.Backward(c.environ) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// hinted is an error with a hint what to do about it.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// run runs the command that args name, and returns the exit code.
func run(args, environ []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" || args[0] == "-help" {
		usage(stdout)
		return exitOK
	}
	if args[0] == "--version" {
		args = []string{"version"}
	}
	cmd, rest, ok := find(args)
	if !ok {
		hint := "gatehouse help lists the commands"
		switch rest[0] {
		case "config":
			hint = "gatehouse config validate, or gatehouse config print"
		case "sessions":
			hint = "gatehouse sessions list, gatehouse sessions show, or gatehouse sessions revoke"
		}
		words := strings.Join(rest, " ")
		if words == "config" || words == "sessions" {
			return report(stderr, hinted{usageError{fmt.Errorf("%s: the command is incomplete", words)}, hint})
		}
		if near := config.Nearest(words, commandNames()); near != "" {
			hint = "did you mean gatehouse " + near + "?"
		}
		return report(stderr, hinted{usageError{fmt.Errorf("unknown command %q", words)}, hint})
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	endOnSignal(cancel)

	c := &call{
		ctx: ctx, flags: flag.NewFlagSet("gatehouse "+cmd.name, flag.ContinueOnError), args: rest,
		environ: environ, stdout: stdout, stderr: stderr,
	}
	c.flags.SetOutput(io.Discard)
	c.flags.Usage = func() {}
	err := cmd.run(c)
	if errors.Is(err, flag.ErrHelp) {
		commandUsage(stdout, cmd, c.flags)
		return exitOK
	}
	return report(stderr, err)
}

// endOnSignal calls cancel at the first SIGINT or SIGTERM, and ends the process at the second, whatever is still under way.
func endOnSignal(cancel func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
}

// find returns the command that args begin with, and the arguments after it. If there is none it returns the words that were looked for.
func find(args []string) (cmd command, rest []string, ok bool) {
	for _, cmd := range commands {
		words := strings.Fields(cmd.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return cmd, args[len(words):], true
		}
	}
	if args[0] == "config" || args[0] == "sessions" {
		return command{}, args[:min(2, len(args))], false
	}
	return command{}, args[:1], false
}

func commandNames() (names []string) {
	for _, cmd := range commands {
		names = append(names, cmd.name)
	}
	return names
}

// report tells the operator what went wrong, and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errRefused) {
		return exitRefused
	}
	if errors.Is(err, errFindings) {
		return exitFailed
	}
	code := exitFailed
	if errors.As(err, new(usageError)) {
		code = exitUsage
	}
	if errors.Is(err, errConfig) {
		code = exitConfig
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(stderr, "gatehouse: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if h, ok := errors.AsType[hinted](err); ok {
		fmt.Fprintf(stderr, "gatehouse: hint: %s\n", h.hint)
	}
	return code
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Gatehouse stands in front of applications and knows whose request it is.\n\nUsage:\n\n")
	for _, c := range commands {
		if c.name != "demo" || parts.Demo.Built() {
			fmt.Fprintf(w, "  gatehouse %-16s %s\n", c.name, c.summary)
		}
	}
	fmt.Fprint(w, "\ngatehouse COMMAND --help says more about a command.\n")
}

func commandUsage(w io.Writer, cmd command, flags *flag.FlagSet) {
	fmt.Fprintf(w, "gatehouse %s: %s\n\nUsage: gatehouse %s %s\n", cmd.name, cmd.summary, cmd.name, cmd.args)
	first := true
	flags.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nFlags:\n\n")
			first = false
		}
		value, text := flag.UnquoteUsage(f)
		name := "--" + f.Name
		if len(f.Name) == 1 {
			name = "-" + f.Name
		}
		if f.DefValue != "" && f.DefValue != "false" {
			text += "; default " + f.DefValue
		}
		fmt.Fprintf(w, "  %s\n        %s\n", strings.TrimSuffix(name+" "+value, " "), text)
	})
}

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/gatehouse-proxy/gatehouse/internal/app"
	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/garbage"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
)

// serve runs the gateway until a signal ends it.
func serve(c *call) error {
	file := configFlag(c)
	if _, err := c.parse(0); err != nil {
		return err
	}
	load := func() (*config.Config, error) { return c.load(*file) }
	cfg, warnings, err := c.check(*file)
	if err != nil {
		return err
	}
	logger := newLogger(cfg.Log, c.stderr)
	for _, w := range warnings {
		logger.Warn(w.Error())
	}
	v := readVersion()
	a, err := app.New(cfg, app.Options{
		Logger: logger,
		Build:  metrics.BuildInfo{Version: v.Version, Revision: v.Revision},
		Reread: load,
	})
	if err != nil {
		return err
	}
	if c.getenv("GOGC") == "" && c.getenv("GOMEMLIMIT") == "" { // to the runtime, too, what is empty is not set
		defer garbage.Bound()()
	}
	stop := reloadOnHangup(a)
	defer stop()
	return a.Run(c.ctx)
}

// reloadOnHangup reloads at every SIGHUP until stop is called. What comes of it is in the log and the metrics.
func reloadOnHangup(a *app.App) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // here and not in the goroutine: from now on a SIGHUP must not end the process
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangup:
				_, _ = a.Reload()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangup)
		close(done)
		running.Wait()
	}
}

// errConfig marks errors that lie in the configuration.
var errConfig = errors.New("configuration")

// configError is an error that lies in the configuration. It reads as its cause does.
type configError struct{ error }

func (e configError) Is(target error) bool { return target == errConfig }
func (e configError) Unwrap() error        { return e.error }

// configFlag declares --config.
func configFlag(c *call) *string {
	file := c.flags.String("config", "", "`FILE` with the configuration; default $GATEHOUSE_CONFIG, then "+defaultFile)
	c.flags.StringVar(file, "c", "", "short for --config `FILE`")
	return file
}

// load loads the configuration from the file named, or else from where it is by default.
func (c *call) load(file string) (*config.Config, error) {
	cfg, _, err := c.check(file)
	return cfg, err
}

// check is load, and also returns what an operator should know about.
func (c *call) check(file string) (*config.Config, config.Errors, error) {
	if file == "" {
		file = c.getenv("GATEHOUSE_CONFIG")
	}
	unnamed := file == ""
	if unnamed {
		file = defaultFile
	}
	cfg, warnings, err := config.Check(file, c.environ)
	if err != nil {
		if _, missing := os.Stat(file); unnamed && errors.Is(missing, fs.ErrNotExist) {
			return nil, nil, hinted{configError{err}, c.noFile()}
		}
		return nil, nil, configError{err}
	}
	return cfg, warnings, nil
}

// noFile says what to do about a configuration that was not named and is not there.
func (c *call) noFile() string {
	if c.flags.Lookup("admin") != nil {
		return "name the file with --config FILE, or the admin listener with --admin ADDRESS"
	}
	return "name the file with --config FILE; gatehouse demo needs none"
}

// newLogger returns the logger that a configuration asks for.
func newLogger(cfg config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == config.FormatText || cfg.Format == config.FormatAuto && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// validateConfig checks a configuration without running it.
func validateConfig(c *call) error {
	file := configFlag(c)
	quiet := c.flags.Bool("quiet", false, "print nothing if the configuration is valid")
	args, err := c.parse(1)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		*file = args[0]
	}
	_, warnings, err := c.check(*file)
	if err != nil {
		return err
	}
	if *quiet {
		return nil
	}
	for _, w := range warnings {
		fmt.Fprintf(c.stderr, "gatehouse: warning: %s\n", w.Error())
	}
	_, err = fmt.Fprintln(c.stdout, "the configuration is valid")
	return err
}

// printConfig prints the effective configuration.
func printConfig(c *call) error {
	file := configFlag(c)
	args, err := c.parse(1)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		*file = args[0]
	}
	cfg, err := c.load(*file)
	if err != nil {
		return err
	}
	return cfg.Print(c.stdout)
}

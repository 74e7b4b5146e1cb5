package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

// Whatever the file and the environment hold: nothing panics, a refusal says why and where, and what is accepted is printed so that it
// loads as the same configuration.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "../../config.example.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "")
	}
	f.Add(agreed, "GATEHOUSE_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.1")
	f.Add(everyKratos, "GATEHOUSE_UPSTREAM={embedded: {path: x}}")
	f.Add(everyEmbedded, "GATEHOUSE_ROUTES=[{match: {path: /*}, access: session}]")
	f.Fuzz(func(t *testing.T, text, variable string) {
		lines := 2 // the end is one of its own; and as YAML counts them: https://yaml.org/spec/1.1/#id871136
		for _, r := range text {
			if strings.ContainsRune("\n\r\u0085\u2028\u2029", r) {
				lines++
			}
		}
		c, err := config.Parse("f", []byte(text), []string{variable})
		if err != nil {
			errs, ok := err.(config.Errors)
			if !ok || len(errs) == 0 || c != nil {
				t.Fatalf("got %v and a refusal without reason: %v", c, err)
			}
			for _, e := range errs {
				inFile := e.File == "f" && e.Line > 0 && e.Column > 0 && e.Line <= lines
				inEnvironment := e.File == "environment" && e.Line == 0 && strings.HasPrefix(strings.Trim(e.Path, `"`), "GATEHOUSE_")
				if e.Message == "" || !inFile && !inEnvironment {
					t.Errorf("refusal without place: %#v", e)
				}
			}
			return
		}
		if text := printed(t, c); !strings.Contains(text, "<secret>") {
			equal(t, parse(t, text), c)
		}
		c.Warnings()
	})
}

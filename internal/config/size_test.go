package config_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
)

func TestSize(t *testing.T) {
	f := func(text string, want config.Size, canonical string) {
		t.Helper()
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != canonical {
			t.Errorf("%q is %d (%s), error %v", text, int64(got), got, err)
		}
	}
	f("0", 0, "0")
	f("0KiB", 0, "0")
	f("1", 1, "1B")
	f("512B", 512, "512B")
	f("1024", config.KiB, "1KiB")
	f("1536B", 1536, "1536B")
	f("64KiB", 64<<10, "64KiB")
	f("2048KiB", 2*config.MiB, "2MiB")
	f("10MiB", 10<<20, "10MiB")
	f("1GiB", config.GiB, "1GiB")
	f("8589934591GiB", 8589934591*config.GiB, "8589934591GiB")
	f("unlimited", math.MaxInt64, "unlimited")

	bad := func(text, message string) {
		t.Helper()
		got := config.Size(7)
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), message) || got != 7 {
			t.Errorf("%q is %v, error %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "KiB", "B", "-1", "+1", "1.5MiB", "1e3", "0x10", "1_000", " 1", "1 ", "1 KiB", "1kib", "1KIB", "1KB", "1K", "1k", "1MB", "1GB", "1TiB",
		"1KiBB", "1BKiB", "Unlimited", "none", "١", "1\n",
	} {
		bad(text, "want a size such as")
	}
	bad("9223372036854775807", "more than there can be")
	bad("8589934592GiB", "more than there can be")
	bad("99999999999999999999", "want a size")
}

func TestSizeSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := config.Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"))
		if rapid.Bool().Draw(t, "round") {
			want &^= 1<<(10*rapid.IntRange(1, 3).Draw(t, "unit")) - 1
		}
		var got config.Size
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%d became %s and then %d, %v", int64(want), want, int64(got), err)
		}
	})
}

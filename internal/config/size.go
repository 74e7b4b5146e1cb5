package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes.
type Size int64

// Unlimited is more than there can be.
const Unlimited Size = math.MaxInt64

// The units of sizes. Each is 1024 of the one before.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
)

// units are the units by their names, the largest first.
func units() []struct {
	name string
	size Size
} {
	return []struct {
		name string
		size Size
	}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}
}

// UnmarshalText accepts a whole number, a unit after it, and the word unlimited.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), Size(1)
	if number == "unlimited" {
		*s = Unlimited
		return nil
	}
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = rest, u.size
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case err != nil:
		return errors.New(suggest("want a size such as 64KiB, 10MiB, or a number of bytes, got "+quote(string(text)), meantSize(string(text))))
	case n > uint64(Unlimited/unit) || Size(n)*unit == Unlimited:
		return fmt.Errorf("%s is more than there can be: write unlimited if that is meant", quote(string(text)))
	}
	*s = Size(n) * unit
	return nil
}

// String is the inverse of [Size.UnmarshalText], in the largest unit of which it is a whole number.
func (s Size) String() string {
	if s == Unlimited {
		return "unlimited"
	}
	for _, u := range units() {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"metalsuite.io/api/reason"
)

// patterns returns the expressions that can be used. When none of several is left, the result is nil, so that the built-in list holds: an
// empty list would exclude no interface at all, those of pods included.
func (c *checker) patterns(at *field.Path, expressions []string) []string {
	var usable []string
	for i, e := range expressions {
		if err := CheckPattern(e); err != nil {
			c.add(reason.InvalidInterfacePattern, at.Index(i), "%q %v", e, err)
			continue
		}
		usable = append(usable, e)
	}
	if len(expressions) == 0 {
		return expressions
	}
	return usable
}

// CheckPattern says why an expression cannot select interfaces to exclude; nil when it can.
func CheckPattern(expression string) error {
	switch {
	case expression == "":
		return errors.New("is empty and matches every interface")
	case strings.ContainsFunc(expression, unicode.IsControl):
		return errors.New("has a control character, which no interface name has")
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return fmt.Errorf("is not a regular expression: %w", err)
	}
	if matchesAll(compiled) {
		return errors.New("matches every interface; to announce nothing at layer 2, leave l2 out of spec.announcers")
	}
	return nil
}

// longest is the length in bytes of the longest interface name (Linux: IFNAMSIZ - 1).
const longest = 15

// matchesAll reports whether an expression matches every interface name: it matches each printable character, alone and repeated to the
// longest name, and a usual name.
func matchesAll(expression *regexp.Regexp) bool {
	for r := '!'; r <= '~'; r++ {
		if c := string(r); r != '/' && (!expression.MatchString(c) || !expression.MatchString(strings.Repeat(c, longest))) {
			return false
		}
	}
	return expression.MatchString("eth0")
}

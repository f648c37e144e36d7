package push

import (
	"fmt"
	"strconv"
)

// Policy says which push hosts must have a message before it counts as published. The zero value, All,
// is every host that is up, and at least one. Any other value is a number of hosts: as long as so many
// are not up, messages wait.
type Policy int

// The policies with names.
const (
	All Policy = 0
	Any Policy = 1
)

// ParsePolicy returns the policy called text, all, any or a number, for so many hosts.
func ParsePolicy(text string, hosts int) (Policy, error) {
	switch text {
	case "all":
		return All, nil
	case "any":
		return Any, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no policy: it is all, any, or how many push hosts must have a message", text)
	}
	return Policy(n), Policy(n).check(hosts)
}

// check returns an error if so few hosts can never be enough.
func (p Policy) check(hosts int) error {
	if int(p) > hosts {
		return fmt.Errorf("%d push hosts must have each message, but there are only %d", p, hosts)
	}
	return nil
}

// least returns how many hosts must have a message.
func (p Policy) least() int { return max(1, int(p)) }

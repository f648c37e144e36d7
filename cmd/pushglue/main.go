// Command pushglue is the companion daemon of nginx push hosts: it claims jobs from Thoonk feeds
// in Redis, makes messages of them and publishes these to every push host.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set by the linker; see the Makefile.
var version = "dev"

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// usageError is an error in how the command was called.
type usageError struct{ error }

// misuse is a usage error of a command, with its path such as "pushglue jobs FEED list".
type misuse struct {
	error
	command string
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := execute(ctx, root)
	if err == nil {
		return exitOK
	}
	if wrong := (misuse{}); errors.As(err, &wrong) {
		fmt.Fprintf(stderr, "%s: %v\nTry: %[1]s --help\n", wrong.command, wrong.error)
		return exitUsage
	}
	fmt.Fprintln(stderr, "pushglue:", err)
	return exitError
}

// execute runs a tree of commands. A usage error becomes a misuse of the command at hand.
func execute(ctx context.Context, root *cobra.Command) error {
	c, err := root.ExecuteContextC(ctx)
	if usage := (usageError{}); errors.As(err, &usage) {
		return misuse{usage.error, c.CommandPath()}
	}
	return err
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pushglue",
		Short: "From jobs in Redis to readers in browsers",
		Long: `pushglue claims jobs from Thoonk feeds in Redis, runs each once through the stages of its
pipelines, and publishes the finished bytes to every nginx push host, where browsers listen.

Settings come from the environment; "pushglue run --help" lists them.`,
		Version: versions(),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate("{{.DisplayName}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	asTree(root)
	root.AddCommand(newInitCommand(), newRunCommand(), newCheckCommand(), newTryCommand(), newPutCommand(), newJobsCommand(), newHostsCommand(), newTopCommand(), newSignCommand(), newTailCommand(), newTraceCommand(), newDemoCommand(), newBenchCommand(), newCapacityCommand(), newVersionCommand(), newGenerateCommand())
	return root
}

// asTree makes c the root of a tree of commands that leaves errors to run.
func asTree(c *cobra.Command) {
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SuggestionsMinimumDistance = 2
	c.SetHelpCommand(newHelpCommand())
	c.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
}

// newHelpCommand returns a command that is --help of another one, also of those behind a feed.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND…]",
		Short:             "Help about any command",
		ValidArgsFunction: completeFirst(func(c *cobra.Command) []string { return commandNames(c.Root()) }, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			if found, rest, _ := root.Find(args); found == root && len(rest) > 0 {
				return unknownCommand(root, rest[0])
			}
			root.SetArgs(append(args, "--help"))
			return root.ExecuteContext(c.Context())
		},
	}
}

// unknownCommand says that c has no command of this name, and which one may have been meant.
func unknownCommand(c *cobra.Command, name string) error {
	if similar := c.SuggestionsFor(name); len(similar) > 0 {
		return usageError{fmt.Errorf("unknown command %q; did you mean %s?", name, strings.Join(similar, " or "))}
	}
	return usageError{fmt.Errorf("unknown command %q; there are %s", name, strings.Join(commandNames(c), ", "))}
}

func commandNames(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// flagError says in our words which flag's value is of a wrong form.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		err = fmt.Errorf("--%s: %q is no %s", flag.Name, invalid.GetValue(), typeName(flag.Value.Type()))
	}
	return usageError{err}
}

// arguments makes a cobra check of arguments a usage error, in the words of the command's usage:
// Use names the arguments, those that may be left out in brackets, and ValidArgs what they can be.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if check(c, args) == nil {
			return nil
		}
		names := strings.Fields(c.Use)[1:]
		switch {
		case len(names) == 0:
			return usageError{fmt.Errorf("takes no arguments, and got %q", args[0])}
		case len(args) >= len(names):
			return usageError{fmt.Errorf("takes %s alone, and got %q too", strings.Join(names, " "), args[len(names)])}
		case len(c.ValidArgs) > 0:
			return usageError{fmt.Errorf("%s is missing: one of %s", names[len(args)], strings.Join(c.ValidArgs, ", "))}
		}
		return usageError{fmt.Errorf("%s is missing", names[len(args)])}
	}
}

// versions returns the version of pushglue and of the Go that built it.
func versions() string {
	goVersion := "unknown Go"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	return fmt.Sprintf("%s (%s)", version, goVersion)
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "pushglue", versions())
			return err
		},
	}
}

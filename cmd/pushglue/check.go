package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"pushglue/glue"
	"pushglue/glue/thoonk"
)

func newCheckCommand() *cobra.Command {
	var connects bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the settings and the pipelines file",
		Long: `Checks the environment and the pipelines file without connecting to anything, and shows what
the daemon would do. With --connect it also looks up names of push hosts, asks Redis and every push host, and looks at the directories of files.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return check(c, connects) },
	}
	cmd.Flags().BoolVar(&connects, "connect", false, "ask Redis and every push host too")
	return cmd
}

func check(cmd *cobra.Command, connects bool) error {
	out := cmd.OutOrStdout()
	c, err := readConfig()
	w, wiringErr := newWiring(c, new(glue.Ledger), zerolog.Nop())
	defer w.close()
	if err := errors.Join(err, checkNames(c, w), wiringErr); err != nil {
		return err
	}
	for _, name := range unknownVariables() {
		fmt.Fprintf(out, "warning: %s is no setting; see pushglue run --help\n", name)
	}
	fmt.Fprintf(out, "%s is good:\n", c.Pipelines)
	if err := writePicture(out, w.pipelines); err != nil || !connects {
		return err
	}
	return errors.Join(checkRedis(cmd.Context(), c, out), checkHosts(cmd.Context(), w, out), checkFiles(w))
}

// checkNames checks the Redis URL, and that the feeds can be there. It connects to nothing.
func checkNames(c config, w *wiring) error {
	rdb, err := openRedis(c)
	if err != nil {
		return err
	}
	defer rdb.Close()
	if _, err := thoonk.ParseDialect(c.Dialect); err != nil {
		return nil // readConfig says so
	}
	_, err = openFeeds(rdb, c, w.feeds())
	return err
}

func checkRedis(ctx context.Context, c config, out io.Writer) error {
	var warnings strings.Builder
	rdb, err := connect(ctx, c, zerolog.New(zerolog.ConsoleWriter{Out: &warnings, NoColor: true, PartsOrder: []string{"message"}}))
	if err != nil {
		return err
	}
	fmt.Fprint(out, "redis answers\n", warnings.String())
	return rdb.Close()
}

func checkHosts(ctx context.Context, w *wiring, out io.Writer) error {
	if w.push == nil {
		return nil
	}
	errs := []error{w.findHosts(ctx)}
	health, skips := w.push.Ping(ctx), w.push.Skips(ctx)
	for _, name := range slices.Sorted(maps.Keys(health)) {
		if err := health[name]; err != nil {
			errs = append(errs, fmt.Errorf("push host %s: %w", name, err))
			continue
		}
		fmt.Fprintf(out, "push host %s answers\n", name)
		if err, asked := skips[name]; asked {
			writeSkip(out, err)
		}
	}
	return errors.Join(errs...)
}

// writeSkip tells whether messages are skipped on the push host that was named last, where they shall be.
func writeSkip(out io.Writer, err error) {
	if err != nil {
		fmt.Fprintf(out, "warning: nothing is skipped on it: %v\n", err)
		return
	}
	fmt.Fprintln(out, "messages that nobody listens to are skipped on it")
}

// checkFiles looks whether the files of publishers can be written.
func checkFiles(w *wiring) error {
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(w.files)) {
		errs = append(errs, w.files[path].Check())
	}
	return errors.Join(errs...)
}

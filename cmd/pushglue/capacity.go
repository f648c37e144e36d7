package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/capacity"
)

func newCapacityCommand() *cobra.Command {
	p := capacity.Default()
	var asJSON, asAnsible bool
	cmd := &cobra.Command{
		Use:   "capacity",
		Short: "Compute what a push host needs for its readers",
		Long: `Computes the settings of nginx and of the kernel for a number of readers on one host, what they take of its
memory, its bandwidth and its cores, and which of these runs out first. It asks nobody: the values are
those of the flags, whose defaults are the plan that the shipped configuration is made for. The formulas
are in docs/capacity.md.

The exit code is 1 if the plan does not fit the host.`,
		Example: `  pushglue capacity --readers 200000 --memory 4g --cores 2
  pushglue capacity --module push-stream --readers 1000000 --channels 300000 --rate 5000 --memory 32g --bandwidth 10g
  pushglue capacity --readers 500000 --memory 8g --ansible > host_vars/push1.yml`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON && asAnsible {
				return usageError{errors.New("--json and --ansible: one of them")}
			}
			if err := p.Check(); err != nil {
				return usageError{err}
			}
			r := capacity.Compute(p)
			verdict := misfit(r)
			switch {
			case asJSON:
				return errors.Join(writeJSON(c.OutOrStdout(), r), verdict)
			case asAnsible && verdict != nil:
				return verdict // nobody is to apply it
			case asAnsible:
				return printAnsible(c.OutOrStdout(), r)
			}
			return errors.Join(printCapacity(c.OutOrStdout(), r), verdict)
		},
	}
	capacityFlags(cmd, &p)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&asAnsible, "ansible", false, "print variables for the Ansible roles, unless the plan does not fit")
	return cmd
}

func capacityFlags(cmd *cobra.Command, p *capacity.Plan) {
	f := cmd.Flags()
	f.StringVar(&p.Module, "module", p.Module, "the push module: nchan or push-stream")
	completeFlag(cmd, "module", cobra.FixedCompletions([]string{"nchan", "push-stream"}, cobra.ShellCompDirectiveNoFileComp))
	f.IntVar(&p.Readers, "readers", p.Readers, "readers at the same time")
	f.IntVar(&p.Channels, "channels", p.Channels, "channels that have readers or stored messages")
	f.IntVar(&p.ChannelLength, "channel-length", p.ChannelLength, "bytes of a channel's name")
	f.IntVar(&p.MessageSize, "message-size", p.MessageSize, "bytes of a message as it is published")
	f.Float64Var(&p.Rate, "rate", p.Rate, "messages a second; one that goes to four channels is four")
	f.IntVar(&p.Fanout, "fanout", 0, "readers of a message (default: readers are spread evenly over channels)")
	f.IntVar(&p.Stored, "stored", p.Stored, "messages that are stored of each channel")
	f.DurationVar(&p.TTL, "ttl", p.TTL, "how long a message is stored")
	f.IntVar(&p.HeaderSize, "header-size", p.HeaderSize, "bytes of a reader's request, with its cookies")
	f.BoolVar(&p.TLS, "tls", false, "readers' TLS ends on this host")
	f.Var(&amount{&p.Memory, 1 << 10, "size"}, "memory", "memory of the host, such as 16g")
	f.IntVar(&p.Cores, "cores", p.Cores, "cores of the host")
	f.Var(&amount{&p.Bandwidth, 1000, "bit rate"}, "bandwidth", "bits a second of the host's network, such as 1g or 10g")
}

// amount is a flag's number with k, m, g or t behind it.
type amount struct {
	value *int64
	unit  int64 // what k stands for
	name  string
}

const amountUnits = "kmgt"

// String returns the number with the largest unit that leaves it whole.
func (a *amount) String() string {
	if a.value == nil {
		return ""
	}
	n, suffix := *a.value, ""
	for i := range amountUnits {
		if n == 0 || n%a.unit != 0 {
			break
		}
		n, suffix = n/a.unit, amountUnits[i:i+1]
	}
	return strconv.FormatInt(n, 10) + suffix
}

// Set reads a number.
func (a *amount) Set(text string) error {
	factor := int64(1)
	if digits := strings.TrimRight(strings.ToLower(text), amountUnits); len(digits) == len(text)-1 {
		for range strings.IndexByte(amountUnits, strings.ToLower(text)[len(digits)]) + 1 {
			factor *= a.unit
		}
		text = digits
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return err
	case n < 0 || n > math.MaxInt64/factor:
		return strconv.ErrRange
	}
	*a.value = n * factor
	return nil
}

// Type returns what the number is.
func (a *amount) Type() string { return a.name }

// misfit returns an error if a plan does not fit its host.
func misfit(r capacity.Report) error {
	if r.Fits {
		return nil
	}
	var missing []string
	for _, resource := range r.Resources {
		if !resource.Enough() {
			missing = append(missing, fmt.Sprintf("%s (%s of %s)", resource.Name, quantity(resource.Need, resource.Unit), quantity(resource.Have, resource.Unit)))
		}
	}
	advice := "no number of readers fits: change the messages, or take a larger host"
	if most := r.Resources[0].Readers; most > 0 {
		hosts := (r.Plan.Readers + most - 1) / most
		advice = fmt.Sprintf("it can hold %s; spread them over %s, or take a larger one", number(most, "reader"), number(hosts, "such host"))
	}
	return fmt.Errorf("the plan does not fit this host: there is not enough of %s; %s", strings.Join(missing, " and "), advice)
}

// quantity writes a number of a unit for people.
func quantity(n float64, unit string) string {
	switch unit {
	case "bytes":
		return bytesText(int64(n))
	case "bits/s":
		return fmt.Sprintf("%.0f Mbit/s", n/1e6)
	}
	return fmt.Sprintf("%.1f %s", n, unit)
}

func bytesText(n int64) string {
	const mib, gib = 1 << 20, 1 << 30
	if n < gib {
		return fmt.Sprintf("%d MiB", (n+mib-1)/mib)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/gib)
}

// printCapacity writes a report for people.
func printCapacity(w io.Writer, r capacity.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	s := r.Settings
	sharedMemory := "nchan_shared_memory_size"
	if r.Plan.Module == capacity.PushStream {
		sharedMemory = "push_stream_shared_memory_size"
	}
	fmt.Fprintf(t, "%s of %s on one host with %s\n\nnginx\n", number(r.Plan.Readers, "reader"), number(r.Plan.Channels, "channel"), r.Plan.Module)
	fmt.Fprintf(t, "  worker_processes\t%d\n  worker_connections\t%d\n  worker_rlimit_nofile, LimitNOFILE\t%d\n", s.Workers, s.WorkerConnections, s.LimitNofile)
	fmt.Fprintf(t, "  %s\t%s\n  limit_conn_zone\t%s\n\nkernel\n", sharedMemory, zoneSize(s), mebibytes(s.AddressMemory))
	fmt.Fprintf(t, "  fs.file-max\t%d\n  fs.nr_open\t%d\n  net.ipv4.tcp_mem\t%s\n", s.FileMax, s.NrOpen, tcpMem(s))
	if s.Conntrack == capacity.NoTrack {
		fmt.Fprint(t, "  nf_conntrack\tNOTRACK for the readers' port\n")
	} else {
		fmt.Fprintf(t, "  nf_conntrack_max\t%d\n", s.ConntrackMax)
	}
	fmt.Fprint(t, "\nmemory\n")
	for _, item := range r.Memory {
		fmt.Fprintf(t, "  %s\t%s\n", item.Name, bytesText(item.Bytes))
	}
	fmt.Fprintf(t, "\n%s deliveries a second; what runs out first\n", thousands(int(r.Deliveries)))
	for _, resource := range r.Resources {
		fmt.Fprintf(t, "  %s\t%s of %s, enough for %s\n", resource.Name, quantity(resource.Need, resource.Unit), quantity(resource.Have, resource.Unit), atMost(resource.Readers))
	}
	return t.Flush()
}

func atMost(readers int) string {
	if readers >= capacity.MaxReaders {
		return "any number of readers"
	}
	return number(readers, "reader")
}

// zoneSize is the size of shared memory as both modules read it: push-stream knows k and m alone.
func zoneSize(s capacity.Settings) string { return mebibytes(s.SharedMemory) }

func mebibytes(n int64) string { return fmt.Sprintf("%dm", n>>20) }

func tcpMem(s capacity.Settings) string { return strings.Trim(fmt.Sprint(s.TCPMem), "[]") }

// printAnsible writes the variables of the Ansible roles.
func printAnsible(w io.Writer, r capacity.Report) error {
	s := r.Settings
	_, err := fmt.Fprintf(w, `---
# pushglue capacity: %d readers, %d channels, %v messages/s of %d bytes; %s, %d cores
push_host_module: %s
push_host_workers: %d
push_host_worker_connections: %d
push_host_limit_nofile: %d
push_host_shared_memory: %s
push_host_address_memory: %s
push_host_message_ttl: %.0fs
push_host_messages_stored: %d
kernel_file_max: %d
kernel_nr_open: %d
kernel_tcp_mem: %s
kernel_conntrack: %s
kernel_conntrack_max: %d
`, r.Plan.Readers, r.Plan.Channels, r.Plan.Rate, r.Plan.MessageSize, bytesText(r.Plan.Memory), r.Plan.Cores,
		r.Plan.Module, s.Workers, s.WorkerConnections, s.LimitNofile, zoneSize(s), mebibytes(s.AddressMemory), r.Plan.TTL.Seconds(), r.Plan.Stored,
		s.FileMax, s.NrOpen, tcpMem(s), s.Conntrack, s.ConntrackMax)
	return err
}

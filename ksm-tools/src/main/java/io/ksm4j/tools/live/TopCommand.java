// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.tools.output.ExitStatus;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ksm top}: shows continuously what merging saves and costs. */
@Command(
        name = "top",
        mixinStandardHelpOptions = true,
        description = {
            "Shows continuously what merging saves and costs on this machine, and in which processes.",
            "On a terminal, press q to quit. Otherwise, and with -n or --once, prints samples as text."
        },
        footer = "%nExits with 0 after q and after the last sample, with 1 if there is no KSM, and with 128 plus the"
                + " signal's number.")
public final class TopCommand implements Callable<Integer> {

    @Mixin
    private SamplingOptions sampling = new SamplingOptions();

    @Option(names = "--once", description = "the same as -n 1")
    private boolean once;

    @Option(names = "--json", description = "print each sample as a line of JSON")
    private boolean json;

    @Override
    public Integer call() throws InterruptedException {
        if (once) {
            sampling.setCount(1);
        }
        sampling.check();
        sampling.show(new TopView(json, sampling.interval()), json);
        return ExitStatus.SUCCESS;
    }
}

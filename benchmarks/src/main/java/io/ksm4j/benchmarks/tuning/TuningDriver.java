// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.tuning;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.Decision;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.Observation;
import io.ksm4j.control.TuningPolicy;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** What drives {@code ksmd} in a run, in the order of the documentation. */
enum TuningDriver {
    FULL_TILT("full tilt"),
    CONVERGE("converge(1)"),
    CONVERGE_HALF("converge(0.5)"),
    CONVERGE_FIFTH("converge(0.2)"),
    ADVISOR_SOON("advisor (10 s)"),
    /** The kernel's defaults. */
    ADVISOR("advisor (200 s)"),
    /** The state after memory has been short for minutes. */
    KSMTUNED_MAX("ksmtuned at maximum"),
    /** The state from the moment at which memory gets short. */
    KSMTUNED("ksmtuned"),
    DEFAULT("default");

    private static final Duration UNTIL_IDLE = Duration.ofMinutes(3);

    private final String label;

    TuningDriver(String label) {
        this.label = label;
    }

    String label() {
        return label;
    }

    /** Starts the driver, and returns once it is in the state it has when there is nothing to merge. */
    AutoCloseable start() {
        return switch (this) {
            case FULL_TILT -> borrow(1_000_000, 0, 0);
            case CONVERGE -> start(TuningPolicy.converge(1));
            case CONVERGE_HALF -> start(TuningPolicy.converge(0.5));
            case CONVERGE_FIFTH -> start(TuningPolicy.converge(0.2));
            case ADVISOR_SOON -> start(TuningPolicy.advisor(Duration.ofSeconds(10), 0.7));
            case ADVISOR -> start(TuningPolicy.advisor(Duration.ofSeconds(200), 0.7));
            case KSMTUNED_MAX -> ksmtuned(1250);
            case KSMTUNED -> ksmtuned(300);
            case DEFAULT -> borrow(100, 20, 1);
        };
    }

    private static KsmSession borrow(long pages, long sleep, long smartScan) {
        KsmDaemon ksmd = KsmDaemon.system();
        return ksmd.borrow(KsmSettings.EMPTY
                .with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
                .with(KsmSetting.SMART_SCAN, smartScan)
                .with(KsmSetting.PAGES_TO_SCAN, pages)
                .with(KsmSetting.SLEEP_MILLISECS, sleep)
                .with(KsmSetting.RUN, 1)
                .presentIn(ksmd.settings()));
    }

    /** Starts {@code ksmtuned} with a threshold that makes it regard memory as short. */
    private static KsmTuner ksmtuned(long boost) {
        return start(TuningPolicy.ksmtuned(Map.of("KSM_THRES_COEF", 100L, "KSM_NPAGES_BOOST", boost)));
    }

    private static KsmTuner start(TuningPolicy policy) {
        CountDownLatch idle = new CountDownLatch(1);
        KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), policy, (Observation observation, Decision decision) -> {
            if (decision.endsAtMark() || decision.pause().toSeconds() > 1) {
                idle.countDown();
            }
        });
        try {
            if (idle.getCount() > 0 && !awaitWithSomethingToScan(idle)) {
                throw new IllegalStateException("the tuner did not go idle: is there other mergeable memory?");
            }
            return tuner;
        } catch (InterruptedException | RuntimeException e) {
            tuner.close();
            throw new IllegalStateException("the tuner did not go idle", e);
        }
    }

    /** Provides a mergeable page, because the tuner takes seconds to go idle when there is nothing to scan. */
    private static boolean awaitWithSomethingToScan(CountDownLatch idle) throws InterruptedException {
        Ksm ksm = Ksm.system();
        MergeRegion something = ksm.allocate(ksm.pageSize());
        try {
            return idle.await(UNTIL_IDLE.toSeconds(), TimeUnit.SECONDS);
        } finally {
            something.close();
        }
    }
}

// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.ArrayList;
import java.util.List;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Label;
import jdk.jfr.MemoryAddress;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import org.jspecify.annotations.Nullable;

/** What Java Flight Recorder is told of regions. */
final class RegionEvents {

    /**
     * One region, or a part of it. A superclass of events must not have a method that refers to one of them: while JFR runs, it
     * links the superclass in the middle of loading the event.
     */
    @Category("ksm4j")
    abstract static class RegionEvent extends Event {

        @Label("Address")
        @MemoryAddress
        long address;

        @Label("Size")
        @DataAmount
        long bytes;

        @Label("Owner")
        @Description("The region's name, or that of the thread that opened it")
        @Nullable
        String owner;
    }

    /** A change of what the kernel may merge; it takes as long as the whole call did, failed attempts included. */
    abstract static class Advice extends RegionEvent {

        @Label("Failure")
        @Description("Why the region is as it was before; missing if the call succeeded")
        @Nullable
        String failure;
    }

    @Name("io.ksm4j.Mark")
    @Label("Mark Mergeable")
    @Description("A region or a part of one was marked mergeable; marking many regions at once gives each its event, "
            + "with the duration of the whole")
    static final class Mark extends Advice {}

    @Name("io.ksm4j.Unmark")
    @Label("Mark Unmergeable")
    @Description(
            "A region or a part of one was marked unmergeable, by a call that said so and not by closing it; merged "
                    + "pages that no other region wants are copied meanwhile")
    static final class Unmark extends Advice {}

    @Name("io.ksm4j.Leak")
    @Label("Leaked Region")
    @Description("A region was never closed, and has been reclaimed")
    @StackTrace(false)
    static final class Leak extends RegionEvent {}

    /** Only ever asked whether anybody records. Making an event starts half of JFR, which takes longer than the rest of ksm4j's start. */
    private static final class Asked {
        static final Mark MARK = new Mark();
        static final Unmark UNMARK = new Unmark();
    }

    /** A region, or a part of one, as events show it. */
    record Subject(AddressRange range, String owner) {}

    private RegionEvents() {}

    /** While nobody records, this is a field's value: nothing is allocated. */
    static boolean isRecorded(boolean mergeable) {
        return FlightRecorder.isInitialized() && (mergeable ? Asked.MARK.isEnabled() : Asked.UNMARK.isEnabled());
    }

    /** Makes a change of what regions want, and records an event for each of their parts. */
    static void record(List<Subject> parts, boolean mergeable, Runnable change) {
        List<Advice> events = new ArrayList<>();
        for (Subject part : parts) {
            Advice event = mergeable ? new Mark() : new Unmark();
            describe(event, part.range(), part.owner());
            events.add(event);
        }
        events.forEach(Event::begin);
        try {
            change.run();
        } catch (RuntimeException | Error e) {
            events.forEach(event -> event.failure = e.toString());
            throw e;
        } finally {
            events.forEach(Event::end);
            events.forEach(Event::commit);
        }
    }

    static void recordLeak(AddressRange range, String owner) {
        if (!FlightRecorder.isInitialized()) {
            return;
        }
        Leak event = new Leak();
        describe(event, range, owner);
        event.commit();
    }

    private static void describe(RegionEvent event, AddressRange range, String owner) {
        event.address = range.start();
        event.bytes = range.length();
        event.owner = owner;
    }
}

// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import com.tangosol.net.DefaultCacheServer;
import io.ksm4j.samples.measurement.MeasuredJvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** A member that stores entries. Reports what it stores for each line of its standard input, until the input ends. */
final class CoherenceMember {

    private CoherenceMember() {}

    public static void main(String[] args) throws IOException {
        DefaultCacheServer.startServerDaemon().waitForServiceStart();
        System.out.println(MeasuredJvm.READY);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (input.readLine() != null) {
            System.out.println(MemberReport.ofThisJvm().line());
            System.out.println(MeasuredJvm.READY);
        }
        // The program that started it has ended.
        Runtime.getRuntime().halt(0);
    }
}

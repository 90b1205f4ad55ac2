// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.parallel.ResourceLocksProvider;
import org.junit.platform.commons.support.AnnotationSupport;

/**
 * Tells JUnit which tests must not run in parallel. Without it, tests would wait for each other in {@link
 * RunningKsmd#start()}, some of them forever: a JUnit thread that waits for the tests of its class runs tests of other
 * classes, and these would wait for that class.
 */
final class KsmdLock implements ResourceLocksProvider {

    @Override
    public Set<Lock> provideForClass(Class<?> testClass) {
        return of(testClass);
    }

    @Override
    public Set<Lock> provideForNestedClass(List<Class<?>> enclosingInstanceTypes, Class<?> testClass) {
        return of(testClass);
    }

    @Override
    public Set<Lock> provideForMethod(List<Class<?>> enclosingInstanceTypes, Class<?> testClass, Method testMethod) {
        return of(testMethod);
    }

    private static Set<Lock> of(AnnotatedElement element) {
        return AnnotationSupport.findAnnotation(element, EnabledIfKsm.class)
                .filter(EnabledIfKsm::control)
                .map(annotation -> Set.of(new Lock(EnabledIfKsm.KSMD)))
                .orElse(Set.of());
    }
}

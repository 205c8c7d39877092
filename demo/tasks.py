"""The tasks at Larkspur Cycles, project by project, as indented outlines.

Each line is a task, and the lines indented below it are its subtasks. `{a|b|c}` makes one task of
each (with all subtasks, where `{}` is the same choice again); `#tag` is a tag.
"""

# ruff: noqa: E501 - a line is a line of the outline

from __future__ import annotations

WREN = """
Draw the folding front box #frame
  Hinge that survives a kerb
    Model the hinge pin in 8 and 10 mm
    Break three of each on the test bench
  Box floor from one sheet of birch
  Latch that a child cannot open
Shorten the wheelbase to 1.58 m #frame #geometry
  Check the toe overlap with 172 mm cranks
  Compare the turning circle with the Heron
Build prototype {one|two|three} #prototype
  Mitre and tack the tubes of prototype {}
  Align and weld prototype {}
  Fit motor and battery to prototype {}
    Route the motor cable through the down tube
  Weigh prototype {}
Ride prototype {two|three} with {an empty box|40 kg|80 kg} #prototype #testing
Test the {front|rear} brake on the wet hill #testing
Test the {stand|steering damper|box latch|light mounts} for 10,000 cycles #testing
Choose the {motor|battery|hub gear|belt drive|lights} for the Wren #parts
Choose the three colours of the first batch #paint
  Spray sample plates in moss, ochre and slate
  Leave one plate of each in the sun until the next round
Write the assembly sheet for the {steering|box|motor|brakes|wiring} #manual
Draw the {rain cover|child bench|lockable lid|rear rack} #accessories
Calculate the cost of one Wren at {50|200|500} a year #money
Prepare the EN 17860 test of the frame #testing #norms
  Send two frames to the laboratory
  Answer the laboratory's questions about the load case
  Put the test report into the technical file
Write the risk assessment #norms
Translate the owner's manual into {Dutch|French|German|English} #manual
Photograph every step of the {box|wheel|battery} removal #manual
Measure whether it fits into the lift of the {town hall|library|station} #geometry
Decide on the price before the fair #money
Ask {the nursery|the baker|Jun's riders|the bicycle couriers} what the box is too small for #research
Order steel for the first {ten|fifty} frames #parts
Plan the first week of building in series #planning
  Agree with the workshop who builds what
  Prepare jigs for {the frame|the box}
"""

SHOP = """
Let people see their bicycle before they pay #configurator
  Draw the layers for {frame|box|rain cover|bags}
  Keep the chosen colours in the address
    Shorten the address so that it can be read out
  Show the weight as it is put together
Take payment by {Bancontact|iDEAL|bank transfer|company bike leasing} #payment
  Try {} with a refused payment
  Write the mail that follows a payment by {}
Show the delivery date for {stock|built-to-order|second-hand} bicycles #delivery
Speed up the {front page|configurator|list of accessories} #speed
Fix the {cart|menu|size table|date picker} on small phones #bug #mobile
Fix totals that are a cent off with {two bicycles|a voucher|a trade-in} #bug #payment
Make the {checkout|configurator|contact form} work with a screen reader #accessibility
Translate the {returns|guarantee|leasing|size guide} page into French #texts
Rewrite the page about {children|deliveries|leasing|second-hand} with real photos #texts
Send a reminder when a test ride is {tomorrow|over} #mail
Let people choose a time for their test ride #test-rides
  Read free times from the workshop's calendar
  Hold a time for ten minutes while somebody fills in the form
  Let them move it without calling us
Move to the new payment terminal's interface #payment #upkeep
  Run both for a week and compare the sums
  Switch the old one off
Update the {image library|web framework|database|container images} #upkeep
Write down what to do when {payments stop|mails do not arrive|the shop is down} #upkeep
Find out why {Safari|an old Android|the in-app browser} loses the cart #bug
Ask {five|twenty} people why they did not order #research
Remove the {second cookie|unused fonts|old tracking pixel} #privacy
Add a page for {repair guides|dealers|spare keys} #texts
Count orders per {country|model|colour} without following anybody #privacy
Compare the shop's stock with the workshop's every night #delivery
  Mail the differences to Farid
Offer {a gift voucher|a trade-in value|two-year service} in the checkout #payment
Try the shop on {a train|a ten-year-old phone|a screen of 320 pixels} #mobile
Make the search find {spelling mistakes|part numbers} #search
"""

WORK = """
Build order {2604 for the bakery|2611 for the Peeters family|2615 for the nursery|2622 for the post} #build
  Wheels
    True and tension the wheels
  Wiring and motor
  Final check, 31 points
Build a {Heron|Wren|Magpie} for the showroom #build
  Final check, 31 points
Replace the {belt|chain|brake pads|rear tyre|bottom bracket} of Mr Wouters's Heron #repair
Mend the {box floor|stand|rain cover} of the nursery's Heron #repair
Service {Heron 1187|Heron 1203|Heron 1240|Magpie 88|Magpie 91|Heron 1302} after 1,000 km #service
Replace the motor controller of {Heron 1190|Heron 1222|Magpie 77} under guarantee #repair #guarantee
Clean and grease the {lathe|pillar drill|truing stand|tube bender} #tools
Calibrate the {torque wrenches|spoke tension meter|scale} #tools
Have the {compressor|extinguishers|welding gas hoses|crane} inspected #safety
Count the stock of {spokes|brake parts|batteries|paint|screws} #stock
Teach Kai to {braze lugs|lace a 20-inch wheel|read the motor's log} #people
Paint the frames of week {one|two|three|four} #paint
  Mask the threads
  Bake and cure
Put up a shelf for {returned batteries|boxes|finished wheels} #tools
Find out why paint flakes at the head tube #quality
  Cut up two returned frames
  Try another primer
Write a card for {bleeding the brakes|setting belt tension|pressing bearings} #manual
Order new {aprons|ear protection|gloves} #safety
Fit a {child bench|trailer hitch|second battery} to Heron 1275 #build
Straighten the fork of {Heron 1099|Magpie 52} #repair
"""

PARTS = """
Find a second supplier for {hub motors|battery cells|birch plywood|belts} #sourcing
  Ask three makers for an offer
  Have a sample of {} sent
    Measure the sample against the drawing
  Visit the one that we like best
Order {rims|spokes|tyres|hydraulic hoses|saddles|grips|bells} for the spring batch #order
Order steel tube in {25.4|31.8|38.1|44.5} mm #order
Complain about the {bent axles|scratched mudguards|short cables} of the last delivery #quality
Negotiate the price of {hub gears|brakes|lights|displays} for next year #money
Bring customs papers for the {Taiwanese|Japanese|Swiss} delivery #customs
Check the {battery|charger|brake fluid|paint} safety data sheets #norms
Put {minimum stock|lead times|drawings} of all bought parts into the list #stock
Pay the deposit for {motors|batteries|the new bender} #money
Compare {sea|rail|air} freight for the autumn #sourcing #money
Ask suppliers for their {carbon figures|conflict minerals statement} #norms
Reduce the number of {screws|cables|bearings|brake levers} that we stock #stock
Return the {wrong displays|surplus saddles|cracked chargers} #quality
Inspect incoming {forks|wheels|batteries|boxes} #quality
  Take five of each delivery
  Note what was found
Plan the parts for {May|June|July|August} #planning
Ask for the return of {cardboard|plastic film|pallets} #sourcing
Agree on a call-off order for {steel tube|batteries|plywood} #money
"""

CARE = """
Answer {Mrs Janssens|the Dubois family|Mr Okonkwo|the school in Leuven} about a lost key #question
Answer {Café Noord|Dr Lemmens|the flower shop|Ms Petit} about range in winter #question
Send {a charger|a rain cover|touch-up paint|a spare latch|two keys} to {Antwerp|Lille|Utrecht} #shipping
Arrange the pick-up of {Heron 1187|Magpie 88|Heron 1302} in {Bruges|Brussels} #shipping
Settle the guarantee claim of {Heron 1166|Heron 1231|Magpie 64} #guarantee
  Ask for photos and the serial number
  Decide, and say why
Call back everybody who had {a test ride|a first service|a repair} last month #follow-up
Write an answer for {range in winter|loud brakes|error 21|leasing|insurance} that we can send #texts
Recall the stand bolts of batch 14 #safety #recall
  List the owners of all 62 bicycles
    Find the nine whose address has changed
  Write to them in three languages
  Book a mechanic in each city
  Report to the authority
Collect what people say about {the Heron's box|the display|delivery|our opening hours} #feedback
Refund {the double payment of Mr Claes|the cancelled order 2598|a late delivery} #money
Put the telephone hours on the {door|web site|voicemail} #texts
Thank {the first hundred riders|our oldest Heron|everybody who filled in the form} #follow-up
Find a workshop we can trust in {Ghent|Rotterdam|Cologne|Lyon|Denver} #partners
Explain the {leasing form|insurance papers|police registration} to the nursery #question
Help the {post|bakery|library} teach its new riders #partners
Look for the stolen {Heron 1144|Magpie 71} #question
"""

FAIR = """
Design the stand #stand
  Sketch three layouts for 36 m²
  Build a model from cardboard
    Try whether two people can pass a cargo bike
  Choose {floor|lamps|the back wall|a counter}
Book {electricity|water|two parking spaces|the test track|hotel rooms|the van} #booking
Print {the price list|folders|stickers|the large photographs} #print
  Have the text of {} proof-read
Write the press text about the {Wren|recycled boxes|leasing offer} #press
Invite {dealers|journalists|the mayor|riders of the first hour} #press
Prepare the {Heron|Wren|Magpie} for test rides #bikes
  Clean, inflate, charge
Make a plan of who stands there on {Thursday|Friday|Saturday|Sunday} #people
Practise the two-minute demonstration #people
Pack the {tool box|spare batteries|coffee machine|first-aid kit} #packing
Follow up on the talks with {dealers|cities|insurers} #after
Calculate what the fair {costs|brought} #money #after
Film the Wren in the {lift|train|stairwell} #press
Ask {Chiara|Bram|Grace} for ten minutes on the small stage #people
Rent {a coffee grinder|two screens|benches} #booking
Order {shirts|name badges|lanyards} for the team #people
Decide what we give away #stand
  Ask for a sample of the tyre levers
"""

RIDE = """
Show the remaining range honestly #range
  Learn from the last ten rides
    Throw out rides with a dead sensor
  Include {wind|hills|load}
  Say *about* in all languages
Read the controller of {model A|model B|model C} over Bluetooth #bluetooth
  Pair again after the phone was restarted
  Survive a lost connection in a ride
Fix the crash when {the map is turned|a ride is deleted|the phone is in airplane mode} #bug #crash
Fix the wrong {speed after a tunnel|distance on ferries|average with breaks|time zone of old rides} #bug
Remind of the {first service|belt change|brake check} #service
Export a ride as {GPX|CSV} #export
Translate into {Dutch|French|German|Japanese} #texts
Draw the {icons|empty states|dark theme} #design
Find the bicycle again #map
  Keep the place where it was parked
  Ring the bell from the phone
  Ask before using the place
Measure battery use on {Android|iOS} #speed
Make the {start screen|ride list|map} start faster #speed
Release version {0.7|0.8|0.9} to the testers #release
  Write what is new
  Watch for crashes for two days
Encrypt the rides on the phone #privacy
Write down what we collect, in one page #privacy
Update {the map library|Kotlin|the Swift package|the build machine} #upkeep
Let testers report a fault from within the application #feedback
  Show them what is sent
Count the hills of a ride #range
Draw the week as a {bar chart|calendar} #design
Make every screen readable {in sunlight|with large text|one-handed} #design #accessibility
Share a bicycle within the family #sharing
  Invite by a code
  Take the right back
"""

MOVE = """
Sign the lease of the dock hall #contract
Get the permit for the {paint booth|welding bay|sign outside} #permits
Plan the hall on paper #plan
  Measure the doors and the crane
  Place the machines
    Ask about the floor under the lathe
Order {electricity|internet|gas|waste collection} for the hall #booking
Move the {lathe|tube bender|truing stands|paint booth|stock of tubes|office} #moving
Paint the {walls|floor|gate} #hall
Tell {customers|suppliers|the bank|the post} the new address #letters
Sell the {old compressor|spare benches|shop window} #money
Hand over the old laundry #contract
"""

PERSONAL = """
Book the dentist #home
Renew my passport before August #home
Read the report on battery recycling #reading
Prepare my talk about repairable bicycles #talk
  Find the photo of Heron number one
  Practise it in front of Bram
Call the nursery about the summer weeks #home
Plan the ride along the Scheldt #rides
  Reserve beds for four
  Check whether the ferry runs on Mondays
Buy a present for Chiara #home
Write my notes for the yearly talk with Inês #work
Sort the photos of the last fair #work
Learn to say no to a fourth prototype #work
Return the book to Jun #reading
"""
